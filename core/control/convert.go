package control

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func saMessage(info machine.Info) *controlv1.SA {
	sa := &controlv1.SA{Uid: info.UID.String(), Connection: info.Conn, State: info.State, Role: info.IKE.Role, Version: uint32(info.IKE.Version),
		SpiI: info.IKE.SPIi, SpiR: info.IKE.SPIr, Local: addrPort(info.IKE.Local), Remote: addrPort(info.IKE.Remote),
		LocalId: clean(info.IKE.LocalID), RemoteId: clean(info.IKE.RemoteID), User: clean(info.IKE.User), Suite: info.IKE.Suite,
		Fragmentation: info.IKE.Fragmentation, Window: info.IKE.Window,
		Created: timestamp(info.Created), Established: timestamp(info.Established),
		Given: addrs(info.Inner.Given), Assigned: addrs(info.Inner.Assigned)}
	for _, c := range info.Children {
		sa.Children = append(sa.Children, childMessage(c))
	}
	return sa
}

func childMessage(c event.ChildSA) *controlv1.Child {
	return &controlv1.Child{Uid: c.UID.String(), Name: c.Name, SpiIn: c.SPIIn, SpiOut: c.SPIOut, Protocol: c.Protocol, Mode: c.Mode, Suite: c.Suite,
		LocalTs: c.LocalTS, RemoteTs: c.RemoteTS, Encap: c.Encap, Backend: c.Backend,
		BackendReason: clean(c.BackendReason), Handling: cleanAll(c.Handling), Placed: clean(c.Placed)}
}

func trafficMessage(t event.Traffic) *controlv1.Traffic {
	return &controlv1.Traffic{BytesIn: t.BytesIn, BytesOut: t.BytesOut, PacketsIn: t.PacketsIn, PacketsOut: t.PacketsOut}
}

func (s *Server) eventMessage(r event.Record) *controlv1.Event {
	k := r.Event.Kind()
	return &controlv1.Event{Sequence: r.Sequence, Time: timestamp(r.Time), Name: k.Name, Code: uint32(k.Code), Severity: k.Severity.String(),
		Outcome: string(k.Outcome), Connection: r.Subject.Conn, IkeUid: r.Subject.IKE.String(), Text: Sentence(r.Event), Json: s.render(r)}
}

// render returns the event in JSON.
func (s *Server) render(r event.Record) string {
	if s.c.Render != nil {
		if b, err := s.c.Render(r); err == nil {
			return string(b)
		}
	}
	b, err := json.Marshal(map[string]any{"sequence": r.Sequence, "time": r.Time, "type": r.Event.Kind().Name, "conn": r.Subject.Conn,
		"ike": r.Subject.IKE, "data": r.Event})
	if err != nil {
		return "{}"
	}
	return string(b)
}

func pluginMessage(p Plugin) *controlv1.Plugin {
	return &controlv1.Plugin{Name: p.Name, Version: clean(p.Version), Vendor: clean(p.Vendor), Kinds: p.Kinds, Services: cleanAll(p.Services),
		Capabilities: cleanAll(p.Capabilities), State: p.State, Detail: clean(p.Detail), Pid: int32(p.PID), Started: timestamp(p.Started),
		Restarts: uint32(p.Restarts), Calls: p.Calls, Errors: p.Errors, InFlight: uint32(p.InFlight),
		P50Us: uint32(p.P50.Microseconds()), P99Us: uint32(p.P99.Microseconds())}
}
