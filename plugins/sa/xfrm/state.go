package xfrm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

const (
	modeTransport, modeTunnel = 0, 1
	encapESPInUDP             = 2 // UDP_ENCAP_ESPINUDP (RFC 3948)
	bitsPerWord               = 32
	maxReplayWindow           = 4096
	minSPI                    = 256 // RFC 4303 section 2.1
)

func family(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func address(a netip.Addr) (x nl.XfrmAddress) {
	x.FromIP(a.AsSlice())
	return x
}

// info is the fixed part of an SA's messages.
func (k *driver) info(c *sa.Child, h kernel.Half) nl.XfrmUsersaInfo {
	m := nl.XfrmUsersaInfo{Saddr: address(h.Src), Family: family(h.Dst), Reqid: k.reqID(c), Mode: modeTunnel, Flags: nl.XFRM_STATE_AF_UNSPEC}
	if c.Mode == sa.Transport {
		m.Mode, m.Flags = modeTransport, 0
	}
	m.Flags |= headerFlags(&c.Handling)
	m.Id = nl.XfrmId{Daddr: address(h.Dst), Proto: unix.IPPROTO_ESP, Spi: nl.Swap32(h.SPI)}
	m.Lft = limits(c, h.Out)
	return m
}

// putSA makes one SA: over the reservation that ALLOCSPI made of its SPI, or anew; one that is there gets other ports and limits.
// What it carries on from another SA takes the place of an empty replay state.
func (k *driver) putSA(c *sa.Child, h kernel.Half, carried []attribute) error {
	m := k.info(c, h)
	attrs, err := transforms(c, h.Encr, h.Integ)
	if err != nil {
		return err
	}
	switch {
	case hasReplayState(carried):
		if c.ESN {
			m.Flags |= nl.XFRM_STATE_ESN
		}
	case c.ESN || h.Window > bitsPerWord: // RFC 4303 section 2.2.1; the old field holds 32 packets at most
		attrs = append(attrs, attribute{nl.XFRMA_REPLAY_ESN_VAL, replayState(max(h.Window, 1))})
		if c.ESN {
			m.Flags |= nl.XFRM_STATE_ESN
		}
	default:
		m.ReplayWindow = uint8(h.Window)
	}
	if h.Out && c.TFC > 0 && c.Mode == sa.Tunnel { // RFC 4303 section 2.7
		attrs = append(attrs, attribute{nl.XFRMA_TFCPAD, binary.NativeEndian.AppendUint32(nil, uint32(c.TFC))})
	}
	attrs = append(attrs, handlingOfSA(&c.Handling, h.Out)...)
	attrs = append(attrs, carried...)
	if c.Encap {
		e := nl.XfrmEncapTmpl{EncapType: encapESPInUDP, EncapSport: nl.Swap16(h.SrcPort), EncapDport: nl.Swap16(h.DstPort)}
		attrs = append(attrs, attribute{nl.XFRMA_ENCAP, e.Serialize()})
	}
	err = k.request(nl.XFRM_MSG_UPDSA, &m, attrs...)
	if errors.Is(err, unix.ESRCH) {
		err = k.request(nl.XFRM_MSG_NEWSA, &m, attrs...)
	}
	if errors.Is(err, unix.EEXIST) { // a packet came in between, and the kernel noted that it wants this SA
		err = k.request(nl.XFRM_MSG_UPDSA, &m, attrs...)
	}
	return err
}

// hasReplayState: the window of a carried state says its size itself.
func hasReplayState(carried []attribute) bool {
	return slices.ContainsFunc(carried, func(a attribute) bool { return a.kind == nl.XFRMA_REPLAY_ESN_VAL })
}

// replayState is an empty struct xfrm_replay_state_esn.
func replayState(window uint32) []byte {
	words := (window + bitsPerWord - 1) / bitsPerWord
	b := make([]byte, nl.SizeofXfrmReplayStateEsn+4*words)
	binary.NativeEndian.PutUint32(b, words)
	binary.NativeEndian.PutUint32(b[20:], window)
	return b
}

// state is what the kernel tells of an SA.
type state struct {
	*nl.XfrmUsersaInfo
	attrs []attribute
}

// getSA reads an SA; nil when there is none.
func (k *driver) getSA(h kernel.Half) (*state, error) {
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_GETSA, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(saID(h))
	msgs, err := req.Execute(unix.NETLINK_XFRM, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, nil
	case err != nil:
		return nil, err
	case len(msgs) == 0:
		return nil, errShort
	}
	return readState(msgs[0])
}

var errShort = errors.New("the kernel's answer about an SA is too short")

func readState(msg []byte) (*state, error) {
	if len(msg) < nl.SizeofXfrmUsersaInfo {
		return nil, errShort
	}
	s := &state{XfrmUsersaInfo: nl.DeserializeXfrmUsersaInfo(msg)}
	attrs, err := nl.ParseRouteAttr(msg[nl.SizeofXfrmUsersaInfo:])
	for _, a := range attrs {
		switch a.Attr.Type {
		case nl.XFRMA_ALG_AEAD, nl.XFRMA_ALG_CRYPT, nl.XFRMA_ALG_AUTH, nl.XFRMA_ALG_AUTH_TRUNC:
			clear(a.Value) // they hold the keys, which nobody needs here
		default:
			s.attrs = append(s.attrs, attribute{int(a.Attr.Type), a.Value})
		}
	}
	return s, err
}

// ListSAs implements kernel.Driver.
func (k *driver) ListSAs() (map[kernel.Place]*kernel.State, error) {
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_GETSA, unix.NLM_F_DUMP)
	req.Sockets = k.sockets
	msgs, err := req.Execute(unix.NETLINK_XFRM, nl.XFRM_MSG_NEWSA)
	if err != nil {
		return nil, err
	}
	all := map[kernel.Place]*kernel.State{}
	for _, msg := range msgs {
		if s, err := readState(msg); err == nil && s.Id.Proto == unix.IPPROTO_ESP {
			all[placeOf(s.Id.Daddr, s.Family, s.Id.Spi)] = s.plain()
		}
	}
	return all, nil
}

func saID(h kernel.Half) *nl.XfrmUsersaId {
	return &nl.XfrmUsersaId{Daddr: address(h.Dst), Spi: nl.Swap32(h.SPI), Family: family(h.Dst), Proto: unix.IPPROTO_ESP}
}

// dropSA deletes an SA of ours; none there, or one of another's, is left as it is.
func (k *driver) dropSA(h kernel.Half) error {
	m, err := k.getSA(h)
	if err != nil || m == nil || !k.ours(m.Reqid) {
		return err
	}
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_DELSA, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(saID(h))
	if _, err = req.Execute(unix.NETLINK_XFRM, 0); errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Reserve implements kernel.Driver; the kernel keeps the reservation for net.core.xfrm_acq_expires seconds.
func (k *driver) Reserve(local, remote netip.Addr) (uint32, error) {
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_ALLOCSPI, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	m := &nl.XfrmUserSpiInfo{Min: minSPI, Max: 1<<32 - 1}
	m.XfrmUsersaInfo = k.info(&sa.Child{}, kernel.Half{Src: remote, Dst: local})
	m.XfrmUsersaInfo.Reqid = k.base
	req.AddData(m)
	msgs, err := req.Execute(unix.NETLINK_XFRM, 0)
	if err != nil {
		return 0, err
	}
	if len(msgs) == 0 || len(msgs[0]) < nl.SizeofXfrmUsersaInfo {
		return 0, fmt.Errorf("the kernel's answer with an SPI is too short")
	}
	return nl.Swap32(nl.DeserializeXfrmUsersaInfo(msgs[0]).Id.Spi), nil
}

// Free implements kernel.Driver. An SA that has the SPI stays: its reqid is that of a child.
func (k *driver) Free(local, _ netip.Addr, spi uint32) error {
	h := kernel.Half{Dst: local, SPI: spi}
	m, err := k.getSA(h)
	if err != nil || m == nil || m.Reqid != k.base {
		return err
	}
	return k.dropSA(h)
}

// driver is a netlink socket in the network namespace where it was opened.
type driver struct {
	sockets map[int]*nl.SocketHandle
	pid     uint32 // by which the kernel's own words about what we did are known
	base    uint32 // of the reqids that are ours
	cards   *cards // nil: nothing is given to devices
}

func openDriver(base uint32) (*driver, error) {
	s, err := nl.GetNetlinkSocketAt(-1, -1, unix.NETLINK_XFRM)
	if err != nil {
		return nil, err
	}
	pid, err := s.GetPid()
	if err != nil {
		s.Close()
		return nil, err
	}
	return &driver{sockets: map[int]*nl.SocketHandle{unix.NETLINK_XFRM: {Socket: s}}, pid: pid, base: base}, nil
}

func (k *driver) close() { k.sockets[unix.NETLINK_XFRM].Close() }

func (k *driver) request(kind nl.XfrmMsgType, m nl.NetlinkRequestData, attrs ...attribute) error {
	req := nl.NewNetlinkRequest(int(kind), unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(m)
	for _, a := range attrs {
		req.AddData(nl.NewRtAttr(a.kind, a.data))
	}
	_, err := req.Execute(unix.NETLINK_XFRM, 0)
	return err
}

// sent is the last sequence number that an SA used outwards.
func (s *state) sent() (n uint64) {
	for _, a := range s.attrs {
		switch {
		case a.kind == nl.XFRMA_REPLAY_ESN_VAL && len(a.data) >= nl.SizeofXfrmReplayStateEsn:
			return uint64(binary.NativeEndian.Uint32(a.data[12:]))<<32 | uint64(binary.NativeEndian.Uint32(a.data[4:]))
		case a.kind == nl.XFRMA_REPLAY_VAL && len(a.data) >= 4:
			return uint64(binary.NativeEndian.Uint32(a.data))
		}
	}
	return 0
}
