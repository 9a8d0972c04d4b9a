package transport

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// keepalive is the octet of a NAT keepalive (RFC 3948 section 2.3).
const keepalive = 0xff

// marker is the non-ESP marker (RFC 3948 section 2.2): where ESP has its SPI, which is never zero.
var marker = []byte{0, 0, 0, 0}

// oobSize holds the control message of a destination address of either family.
var oobSize = max(len(ipv4.NewControlMessage(ipv4.FlagDst)), len(ipv6.NewControlMessage(ipv6.FlagDst)))

// run reads batches until ctx is done or the socket is closed.
func (s *socket) run(ctx context.Context, stats *Stats, receive func([]Packet)) {
	msgs := buffers()
	batch := make([]Packet, 0, BatchSize)
	for ctx.Err() == nil {
		n, err := s.batch.ReadBatch(msgs, 0)
		if err != nil {
			if done(ctx, err) {
				return
			}
			stats.ReadErrors.Add(1)
			time.Sleep(errorPause)
			continue
		}
		batch = s.packets(batch[:0], msgs[:n], stats)
		if len(batch) > 0 {
			receive(batch)
		}
		clear(batch) // an idle socket keeps no message alive
	}
}

// buffers makes the messages that ReadBatch fills. Pages that no datagram reaches are never touched.
func buffers() []ipv4.Message {
	msgs := make([]ipv4.Message, BatchSize)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, MaxDatagram)}
		msgs[i].OOB = make([]byte, oobSize)
	}
	return msgs
}

// packets appends what is IKE among msgs.
func (s *socket) packets(batch []Packet, msgs []ipv4.Message, stats *Stats) []Packet {
	for i := range msgs {
		m := &msgs[i]
		data, ok := s.payload(m, stats)
		from, isUDP := m.Addr.(*net.UDPAddr)
		if !ok || !isUDP {
			continue
		}
		remote := from.AddrPort()
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
		local := netip.AddrPortFrom(s.destination(m.OOB[:m.NN], remote.Addr()), s.local.Port())
		batch = append(batch, Packet{Local: local, Remote: remote, Data: append([]byte(nil), data...)})
	}
	stats.Received.Add(uint64(len(batch)))
	return batch
}

// payload returns the IKE message in m, a part of its buffer, or false when there is none.
func (s *socket) payload(m *ipv4.Message, stats *Stats) ([]byte, bool) {
	data := m.Buffers[0][:m.N]
	switch {
	case m.Flags&truncated != 0:
		stats.DroppedTruncated.Add(1)
	case len(data) == 0:
		stats.DroppedEmpty.Add(1)
	case !s.natt:
		return data, true
	case len(data) == 1 && data[0] == keepalive:
		stats.Keepalives.Add(1) // RFC 3948 section 2.3: SHOULD ignore
	case len(data) > len(marker) && [4]byte(data) == [4]byte{}:
		return data[len(marker):], true
	default:
		stats.DroppedESP.Add(1)
	}
	return nil, false
}

// destination returns the address that a datagram was sent to; without a control message, where we are bound.
func (s *socket) destination(oob []byte, remote netip.Addr) netip.Addr {
	var ip net.IP
	if s.local.Addr().Is4() {
		var cm ipv4.ControlMessage
		_ = cm.Parse(oob)
		ip = cm.Dst
	} else {
		var cm ipv6.ControlMessage
		_ = cm.Parse(oob)
		ip = cm.Dst
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return s.local.Addr()
	}
	addr = addr.Unmap()
	if addr.IsLinkLocalUnicast() {
		addr = addr.WithZone(remote.Zone())
	}
	return addr
}
