package pluginhost

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

// minSPI is the lowest SPI that may be given to an SA (RFC 4303 section 2.1: 0 to 255 are reserved).
const minSPI = 256

func encodeSA(op machine.Op, owner string) (service, basev1.Op, message) {
	sa := func(name string) service { return service{kind: "sa", name: name} }
	switch op := op.(type) {
	case machine.AllocateSPI:
		return sa(op.Backend), basev1.Op_OP_SA_ALLOCATE_SPI, &sav1.AllocateSPIRequest{Local: op.Local.AsSlice(), Remote: op.Remote.AsSlice()}
	case machine.InstallChild:
		return sa(op.Child.Backend), basev1.Op_OP_SA_INSTALL_CHILD, &sav1.InstallChildRequest{Child: fromChild(&op.Child, owner)}
	case machine.FreeSPI:
		return sa(op.Backend), basev1.Op_OP_SA_FREE_SPI, &sav1.FreeSPIRequest{Local: op.Local.AsSlice(), Remote: op.Remote.AsSlice(), Spi: op.SPI}
	case machine.UpdateChild:
		return sa(op.Child.Backend), basev1.Op_OP_SA_UPDATE_CHILD, &sav1.UpdateChildRequest{Child: fromChild(&op.Child, owner)}
	case machine.RemoveChild:
		return sa(op.Child.Backend), basev1.Op_OP_SA_REMOVE_CHILD, &sav1.RemoveChildRequest{Child: fromChild(withoutKeys(op.Child), owner)}
	case machine.QueryUsage:
		return sa(op.Child.Backend), basev1.Op_OP_SA_USAGE, &sav1.UsageRequest{Child: fromChild(withoutKeys(op.Child), owner)}
	}
	return service{}, 0, nil
}

// withoutKeys keeps keys from travelling where nobody needs them.
func withoutKeys(c machine.ChildSA) *machine.ChildSA {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil
	return &c
}

func fromChild(c *machine.ChildSA, owner string) *sav1.Child {
	return &sav1.Child{
		Uid: c.UID[:], Owner: owner, Conn: c.Conn, Name: c.Name, Reqid: c.ReqID, SpiIn: c.SPIIn, SpiOut: c.SPIOut,
		Mode: sav1.Mode(c.Mode), Local: c.Local.AsSlice(), Remote: c.Remote.AsSlice(), LocalPort: uint32(c.LocalPort),
		RemotePort: uint32(c.RemotePort), Encap: c.Encap, Encr: uint32(c.Encr), KeyBits: uint32(c.KeyBits), Integ: uint32(c.Integ),
		Esn: c.ESN, EncrIn: c.EncrIn, EncrOut: c.EncrOut, IntegIn: c.IntegIn, IntegOut: c.IntegOut, ReplayWindow: c.ReplayWindow,
		LocalTs: fromSelectors(c.LocalTS), RemoteTs: fromSelectors(c.RemoteTS), Held: c.Held,
		Soft: fromVolume(c.Soft), Hard: fromVolume(c.Hard), Tfc: uint32(c.TFC), Addresses: fromAddrs(c.Addresses),
		Handling: fromHandling(c.Handling),
	}
}

func fromVolume(v machine.Volume) *sav1.Volume {
	if v == (machine.Volume{}) {
		return nil
	}
	return &sav1.Volume{Bytes: v.Bytes, Packets: v.Packets}
}

func fromAddrs(list []netip.Addr) (out [][]byte) {
	for _, a := range list {
		out = append(out, a.AsSlice())
	}
	return out
}

func fromSelectors(list []machine.Selector) []*sav1.Selector {
	out := make([]*sav1.Selector, 0, len(list))
	for _, s := range list {
		out = append(out, &sav1.Selector{
			Protocol: uint32(s.Protocol), StartPort: uint32(s.StartPort), EndPort: uint32(s.EndPort),
			Start: s.Start.AsSlice(), End: s.End.AsSlice(),
		})
	}
	return out
}

func decodeSA(op machine.Op, body []byte) (machine.Result, error) {
	switch op.(type) {
	case machine.AllocateSPI:
		var r sav1.AllocateSPIResponse
		err := unmarshal(body, &r)
		if err == nil && r.GetSpi() < minSPI {
			err = fmt.Errorf("SPI %d, which is reserved", r.GetSpi())
		}
		return machine.AllocatedSPI{SPI: r.GetSpi()}, err
	case machine.FreeSPI:
		return machine.Freed{}, unmarshal(body, &sav1.FreeSPIResponse{})
	case machine.UpdateChild:
		return machine.Installed{}, unmarshal(body, &sav1.UpdateChildResponse{})
	case machine.InstallChild:
		return machine.Installed{}, unmarshal(body, &sav1.InstallChildResponse{})
	case machine.RemoveChild:
		var r sav1.RemoveChildResponse
		err := unmarshal(body, &r)
		return machine.Removed{Traffic: traffic(r.GetUsage())}, err
	case machine.QueryUsage:
		var r sav1.UsageResponse
		err := unmarshal(body, &r)
		return machine.Usage{Traffic: traffic(r.GetUsage())}, err
	}
	return nil, fmt.Errorf("to an operation that is none: %T", op)
}

func traffic(u *sav1.Usage) event.Traffic {
	return event.Traffic{BytesIn: u.GetBytesIn(), BytesOut: u.GetBytesOut(), PacketsIn: u.GetPacketsIn(), PacketsOut: u.GetPacketsOut()}
}

// toChild reads a child that a backend listed; keys are not taken.
func toChild(c *sav1.Child, backend string) (machine.ChildSA, error) {
	out := machine.ChildSA{
		Backend: backend, Conn: clean(c.GetConn()), Name: clean(c.GetName()), ReqID: c.GetReqid(), SPIIn: c.GetSpiIn(), SPIOut: c.GetSpiOut(),
		Mode: machine.Mode(c.GetMode()), LocalPort: uint16(c.GetLocalPort()), RemotePort: uint16(c.GetRemotePort()), Encap: c.GetEncap(),
		Encr: uint16(c.GetEncr()), KeyBits: uint16(c.GetKeyBits()), Integ: uint16(c.GetInteg()), ESN: c.GetEsn(), ReplayWindow: c.GetReplayWindow(),
		Held: c.GetHeld(), TFC: uint16(c.GetTfc()),
		Soft: machine.Volume{Bytes: c.GetSoft().GetBytes(), Packets: c.GetSoft().GetPackets()},
		Hard: machine.Volume{Bytes: c.GetHard().GetBytes(), Packets: c.GetHard().GetPackets()},
	}
	for _, v := range []uint32{c.GetLocalPort(), c.GetRemotePort(), c.GetEncr(), c.GetKeyBits(), c.GetInteg(), c.GetTfc()} {
		if v > 1<<16-1 {
			return out, fmt.Errorf("child with the impossible number %d", v)
		}
	}
	if len(c.GetUid()) != len(out.UID) || c.GetSpiIn() < minSPI || c.GetMode() < 0 || c.GetMode() > sav1.Mode_TRANSPORT {
		return out, fmt.Errorf("child with an identifier of %d octets, SPI %d and mode %d", len(c.GetUid()), c.GetSpiIn(), c.GetMode())
	}
	copy(out.UID[:], c.GetUid())
	var errLocal, errRemote, errTS, errRemoteTS, errHandling error
	out.Handling, errHandling = toHandling(c.GetHandling())
	out.Local, errLocal = toAddr(c.GetLocal())
	out.Remote, errRemote = toAddr(c.GetRemote())
	out.LocalTS, errTS = toSelectors(c.GetLocalTs())
	out.RemoteTS, errRemoteTS = toSelectors(c.GetRemoteTs())
	for _, b := range c.GetAddresses() {
		a, err := toAddr(b)
		if err != nil || !a.IsValid() {
			return out, fmt.Errorf("inner address of %d octets", len(b))
		}
		out.Addresses = append(out.Addresses, a)
	}
	return out, errors.Join(errLocal, errRemote, errTS, errRemoteTS, errHandling)
}

func toAddr(b []byte) (netip.Addr, error) {
	if len(b) == 0 {
		return netip.Addr{}, nil
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return a, fmt.Errorf("address of %d octets", len(b))
	}
	return a, nil
}

func toSelectors(list []*sav1.Selector) ([]machine.Selector, error) {
	var out []machine.Selector
	for _, s := range list {
		start, err := toAddr(s.GetStart())
		if err != nil {
			return nil, err
		}
		end, err := toAddr(s.GetEnd())
		if err != nil {
			return nil, err
		}
		if s.GetProtocol() > 255 || s.GetStartPort() > 1<<16-1 || s.GetEndPort() > 1<<16-1 {
			return nil, fmt.Errorf("selector with protocol %d and ports %d to %d", s.GetProtocol(), s.GetStartPort(), s.GetEndPort())
		}
		out = append(out, machine.Selector{
			Protocol: uint8(s.GetProtocol()), StartPort: uint16(s.GetStartPort()), EndPort: uint16(s.GetEndPort()), Start: start, End: end,
		})
	}
	return out, nil
}
