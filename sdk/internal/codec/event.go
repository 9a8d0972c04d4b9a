package codec

import (
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/sdk"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/sa"
)

// FromEvent returns the message for e.
func FromEvent(e sa.Event) *sav1.Event {
	switch e := e.(type) {
	case sa.Expired:
		return &sav1.Event{What: &sav1.Event_Expired{Expired: &sav1.Expired{SpiIn: e.SPIIn, Hard: e.Hard, Cause: e.Cause}}}
	case sa.Moved:
		return &sav1.Event{What: &sav1.Event_Moved{Moved: &sav1.Moved{SpiIn: e.SPIIn, Remote: e.Remote.Addr().AsSlice(), RemotePort: uint32(e.Remote.Port())}}}
	case sa.Lost:
		return &sav1.Event{What: &sav1.Event_Lost{Lost: &sav1.Lost{SpiIn: e.SPIIn}}}
	case sa.Placed:
		return &sav1.Event{What: &sav1.Event_Placed{Placed: &sav1.Placed{SpiIn: e.SPIIn, Where: e.Where, Reason: e.Reason}}}
	case sa.Acquired:
		return &sav1.Event{What: &sav1.Event_Acquired{Acquired: &sav1.Acquired{Conn: e.Conn, Name: e.Name, Protocol: uint32(e.Protocol),
			Source: e.Source.Addr().AsSlice(), SourcePort: uint32(e.Source.Port()),
			Destination: e.Destination.Addr().AsSlice(), DestinationPort: uint32(e.Destination.Port())}}}
	}
	return &sav1.Event{}
}

// ToEvent is the reverse of FromEvent.
func ToEvent(m *sav1.Event) (sa.Event, error) {
	var n narrower
	port := func(field string, addr []byte, port uint32) netip.AddrPort {
		return netip.AddrPortFrom(n.addr(field, addr), n.u16(field+"_port", port))
	}
	var out sa.Event
	switch {
	case m.GetExpired() != nil:
		e := m.GetExpired()
		out = sa.Expired{SPIIn: e.GetSpiIn(), Hard: e.GetHard(), Cause: e.GetCause()}
	case m.GetMoved() != nil:
		e := m.GetMoved()
		out = sa.Moved{SPIIn: e.GetSpiIn(), Remote: port("remote", e.GetRemote(), e.GetRemotePort())}
	case m.GetLost() != nil:
		out = sa.Lost{SPIIn: m.GetLost().GetSpiIn()}
	case m.GetPlaced() != nil:
		e := m.GetPlaced()
		out = sa.Placed{SPIIn: e.GetSpiIn(), Where: e.GetWhere(), Reason: e.GetReason()}
	case m.GetAcquired() != nil:
		e := m.GetAcquired()
		out = sa.Acquired{Conn: e.GetConn(), Name: e.GetName(), Protocol: n.u8("protocol", e.GetProtocol()),
			Source: port("source", e.GetSource(), e.GetSourcePort()), Destination: port("destination", e.GetDestination(), e.GetDestinationPort())}
	default:
		return nil, fmt.Errorf("%w: an event of no kind that is known", sdk.ErrInvalid)
	}
	return out, n.err
}

// FromTraps returns the message for traps.
func FromTraps(owner string, traps []sa.Trap) *sav1.SetTrapsRequest {
	out := &sav1.SetTrapsRequest{Owner: owner}
	for _, t := range traps {
		out.Traps = append(out.Traps, &sav1.Trap{Conn: t.Conn, Name: t.Name, Reqid: t.ReqID, Mode: sav1.Mode(t.Mode),
			Local: t.Local.AsSlice(), Remote: t.Remote.AsSlice(), LocalTs: fromSelectors(t.LocalTS), RemoteTs: fromSelectors(t.RemoteTS),
			Handling: fromHandling(&t.Handling), Action: uint32(t.Action)})
	}
	return out
}

// ToTraps is the reverse of FromTraps.
func ToTraps(m *sav1.SetTrapsRequest) (owner string, traps []sa.Trap, err error) {
	var n narrower
	for _, t := range m.GetTraps() {
		traps = append(traps, sa.Trap{Conn: t.GetConn(), Name: t.GetName(), ReqID: t.GetReqid(), Mode: sa.Mode(n.u8("mode", uint32(t.GetMode()))),
			Local: n.addr("local", t.GetLocal()), Remote: n.addr("remote", t.GetRemote()),
			LocalTS: n.selectors("local_ts", t.GetLocalTs()), RemoteTS: n.selectors("remote_ts", t.GetRemoteTs()),
			Handling: n.handling(t.GetHandling()), Action: sa.Action(n.u8("action", t.GetAction()))})
	}
	return m.GetOwner(), traps, n.err
}
