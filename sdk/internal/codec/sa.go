package codec

import (
	"bytes"
	"net/netip"

	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// FromChild returns the message for c.
func FromChild(c sa.Child) *sav1.Child {
	return &sav1.Child{
		Uid: c.UID[:], Owner: c.Owner, Conn: c.Conn, Name: c.Name, Reqid: c.ReqID, SpiIn: c.SPIIn, SpiOut: c.SPIOut,
		Mode: sav1.Mode(c.Mode), Local: c.Local.AsSlice(), Remote: c.Remote.AsSlice(), LocalPort: uint32(c.LocalPort),
		RemotePort: uint32(c.RemotePort), Encap: c.Encap, Encr: uint32(c.Encr), KeyBits: uint32(c.KeyBits), Integ: uint32(c.Integ),
		Esn: c.ESN, EncrIn: c.EncrIn, EncrOut: c.EncrOut, IntegIn: c.IntegIn, IntegOut: c.IntegOut, ReplayWindow: c.ReplayWindow,
		LocalTs: fromSelectors(c.LocalTS), RemoteTs: fromSelectors(c.RemoteTS),
		Held: c.Held, Soft: fromVolume(c.Soft), Hard: fromVolume(c.Hard), Tfc: uint32(c.TFC), Addresses: fromAddrs(c.Addresses),
		Handling: fromHandling(&c.Handling),
	}
}

func fromVolume(v sa.Volume) *sav1.Volume {
	if v == (sa.Volume{}) {
		return nil
	}
	return &sav1.Volume{Bytes: v.Bytes, Packets: v.Packets}
}

func toVolume(v *sav1.Volume) sa.Volume {
	return sa.Volume{Bytes: v.GetBytes(), Packets: v.GetPackets()}
}

func fromAddrs(list []netip.Addr) (out [][]byte) {
	for _, a := range list {
		out = append(out, a.AsSlice())
	}
	return out
}

func (n *narrower) addrs(field string, list [][]byte) (out []netip.Addr) {
	for _, b := range list {
		a := n.addr(field, b)
		if !a.IsValid() {
			n.fail(field, "none")
		}
		out = append(out, a)
	}
	return out
}

// ToChild is the reverse of FromChild.
func ToChild(c *sav1.Child) (sa.Child, error) {
	var n narrower
	out := sa.Child{
		Owner: c.GetOwner(), Conn: c.GetConn(), Name: c.GetName(), ReqID: c.GetReqid(), SPIIn: c.GetSpiIn(), SPIOut: c.GetSpiOut(),
		Mode: sa.Mode(n.u8("mode", uint32(c.GetMode()))), Local: n.addr("local", c.GetLocal()), Remote: n.addr("remote", c.GetRemote()),
		LocalPort: n.u16("local_port", c.GetLocalPort()), RemotePort: n.u16("remote_port", c.GetRemotePort()), Encap: c.GetEncap(),
		Encr: n.u16("encr", c.GetEncr()), KeyBits: n.u16("key_bits", c.GetKeyBits()), Integ: n.u16("integ", c.GetInteg()), ESN: c.GetEsn(),
		EncrIn: key(c.GetEncrIn()), EncrOut: key(c.GetEncrOut()), IntegIn: key(c.GetIntegIn()), IntegOut: key(c.GetIntegOut()), ReplayWindow: c.GetReplayWindow(),
		LocalTS: n.selectors("local_ts", c.GetLocalTs()), RemoteTS: n.selectors("remote_ts", c.GetRemoteTs()),
		Held: c.GetHeld(), Soft: toVolume(c.GetSoft()), Hard: toVolume(c.GetHard()), TFC: n.u16("tfc", c.GetTfc()),
		Addresses: n.addrs("addresses", c.GetAddresses()), Handling: n.handling(c.GetHandling()),
	}
	if copy(out.UID[:], c.GetUid()) != len(out.UID) || len(c.GetUid()) != len(out.UID) {
		n.fail("uid", len(c.GetUid()))
	}
	return out, n.err
}

// key is a key in memory of its own: a backend keeps it, and messages are wiped.
func key(b []byte) secret.Bytes { return bytes.Clone(b) }

func fromSelectors(list []sa.Selector) []*sav1.Selector {
	var out []*sav1.Selector
	for _, s := range list {
		out = append(out, &sav1.Selector{
			Protocol: uint32(s.Protocol), StartPort: uint32(s.StartPort), EndPort: uint32(s.EndPort),
			Start: s.Start.AsSlice(), End: s.End.AsSlice(),
		})
	}
	return out
}

func (n *narrower) selectors(field string, list []*sav1.Selector) []sa.Selector {
	var out []sa.Selector
	for _, s := range list {
		out = append(out, sa.Selector{
			Protocol: n.u8(field+".protocol", s.GetProtocol()), StartPort: n.u16(field+".start_port", s.GetStartPort()),
			EndPort: n.u16(field+".end_port", s.GetEndPort()), Start: n.addr(field+".start", s.GetStart()), End: n.addr(field+".end", s.GetEnd()),
		})
	}
	return out
}

// FromUsage returns the message for u.
func FromUsage(u sa.Usage) *sav1.Usage {
	return &sav1.Usage{BytesIn: u.BytesIn, BytesOut: u.BytesOut, PacketsIn: u.PacketsIn, PacketsOut: u.PacketsOut}
}

// ToUsage is the reverse of FromUsage.
func ToUsage(u *sav1.Usage) sa.Usage {
	return sa.Usage{BytesIn: u.GetBytesIn(), BytesOut: u.GetBytesOut(), PacketsIn: u.GetPacketsIn(), PacketsOut: u.GetPacketsOut()}
}

// FromCapabilities returns the message for c.
func FromCapabilities(c sa.Capabilities) *sav1.ProbeResponse {
	out := &sav1.ProbeResponse{
		Name: c.Name, Usable: c.Usable, Reason: c.Reason, Esn: c.ESN, Encap: c.Encap, MaxReplayWindow: c.MaxReplayWindow,
		Offload: c.Offload, Epoch: c.Epoch, Traps: c.Traps, Tfc: c.TFC, Settings: c.Settings,
	}
	out.Algorithms = fromAlgorithms(c.Algorithms)
	for _, d := range c.Devices {
		out.Devices = append(out.Devices, &sav1.Device{Name: d.Name, Packet: d.Packet, Crypto: d.Crypto, Algorithms: fromAlgorithms(d.Algorithms),
			Esn: d.ESN, MaxReplayWindow: d.MaxReplayWindow})
	}
	for _, m := range c.Modes {
		out.Modes = append(out.Modes, sav1.Mode(m))
	}
	return out
}

// ToCapabilities is the reverse of FromCapabilities.
func ToCapabilities(c *sav1.ProbeResponse) (sa.Capabilities, error) {
	var n narrower
	out := sa.Capabilities{
		Name: c.GetName(), Usable: c.GetUsable(), Reason: c.GetReason(), ESN: c.GetEsn(), Encap: c.GetEncap(),
		MaxReplayWindow: c.GetMaxReplayWindow(), Offload: c.GetOffload(), Epoch: c.GetEpoch(), Traps: c.GetTraps(), TFC: c.GetTfc(), Settings: c.GetSettings(),
	}
	out.Algorithms = n.algorithms(c.GetAlgorithms())
	for _, d := range c.GetDevices() {
		out.Devices = append(out.Devices, sa.Device{Name: d.GetName(), Packet: d.GetPacket(), Crypto: d.GetCrypto(), Algorithms: n.algorithms(d.GetAlgorithms()),
			ESN: d.GetEsn(), MaxReplayWindow: d.GetMaxReplayWindow()})
	}
	for _, m := range c.GetModes() {
		out.Modes = append(out.Modes, sa.Mode(n.u8("mode", uint32(m))))
	}
	return out, n.err
}

// ToAddr reads an address of 4 or 16 octets; none is the zero address.
func ToAddr(field string, b []byte) (netip.Addr, error) {
	var n narrower
	a := n.addr(field, b)
	return a, n.err
}

func fromAlgorithms(all []sa.Algorithm) (out []*sav1.Algorithm) {
	for _, a := range all {
		out = append(out, &sav1.Algorithm{Type: uint32(a.Type), Id: uint32(a.ID), KeyBits: wide(a.KeyBits)})
	}
	return out
}

func (n *narrower) algorithms(all []*sav1.Algorithm) (out []sa.Algorithm) {
	for _, a := range all {
		out = append(out, sa.Algorithm{
			Type: n.u8("algorithm.type", a.GetType()), ID: n.u16("algorithm.id", a.GetId()), KeyBits: n.u16s("algorithm.key_bits", a.GetKeyBits()),
		})
	}
	return out
}
