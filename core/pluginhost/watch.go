package pluginhost

import (
	"context"
	"fmt"
	"net/netip"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

// Acquire tells of a packet that met a trap.
type Acquire struct {
	Conn, Child         string
	Protocol            uint8
	Source, Destination netip.AddrPort // port 0 when the packet has none
}

// Trap are the selectors of a child that is made when there is traffic for it.
type Trap struct {
	Conn, Child       string
	ReqID             uint32
	Mode              machine.Mode
	Local, Remote     netip.Addr // zero: not known yet
	LocalTS, RemoteTS []machine.Selector
	Handling          machine.Handling
	Action            Action
}

// Action is what becomes of a packet that meets a trap.
type Action uint8

// Actions.
const (
	Acquiring Action = iota // the backend tells of it
	Bypass                  // it passes in clear
	Discard                 // it is dropped
)

// SetTraps makes the traps of this daemon in a backend these and no others.
func (h *Host) SetTraps(ctx context.Context, backend string, traps []Trap) error {
	to, callErr := h.route(service{kind: "sa", name: backend})
	if callErr != nil {
		return callErr
	}
	m := &sav1.SetTrapsRequest{Owner: h.cfg.Owner}
	for _, t := range traps {
		m.Traps = append(m.Traps, &sav1.Trap{Conn: t.Conn, Name: t.Child, Reqid: t.ReqID, Mode: sav1.Mode(t.Mode),
			Local: t.Local.AsSlice(), Remote: t.Remote.AsSlice(), LocalTs: fromSelectors(t.LocalTS), RemoteTs: fromSelectors(t.RemoteTS),
			Handling: fromHandling(t.Handling), Action: uint32(t.Action)})
	}
	return h.await(ctx, to, basev1.Op_OP_SA_SET_TRAPS, m, &sav1.SetTrapsResponse{})
}

// told takes an event of an SA backend. One that makes no sense, or comes from a plugin that is not the backend it speaks for, is
// dropped.
func (h *Host) told(from *session, f *basev1.Frame) {
	backend, ok := h.speaksFor(from, f.GetService())
	var m sav1.Event
	err := unmarshal(f.GetBody(), &m)
	if err == nil && !ok {
		err = fmt.Errorf("it is not the SA backend %q", clean(f.GetService()))
	}
	if err == nil {
		err = h.tell(backend, &m)
	}
	if err != nil {
		h.log.Warn("an event of a plugin was dropped", zap.String("plugin", from.name), zap.Error(err))
	}
}

// speaksFor finds the backend that calls of this name are routed to, when it is in the plugin at the other end of a session.
func (h *Host) speaksFor(from *session, name string) (string, bool) {
	for backend, to := range h.routes.Load().sa {
		if backend == name && to.supervisor.session.Load() == from {
			return backend, true
		}
	}
	return "", false
}

func (h *Host) tell(backend string, m *sav1.Event) error {
	if a := m.GetAcquired(); a != nil {
		acquire, err := toAcquire(a)
		if err == nil {
			h.cfg.Acquired(backend, acquire)
		}
		return err
	}
	in, err := toInput(m)
	if err == nil {
		h.cfg.Told(backend, in)
	}
	return err
}

func toInput(m *sav1.Event) (machine.Input, error) {
	switch {
	case m.GetExpired() != nil:
		e := m.GetExpired()
		return machine.ChildExpired{SPIIn: e.GetSpiIn(), Hard: e.GetHard(), Cause: clean(e.GetCause())}, nil
	case m.GetMoved() != nil:
		e := m.GetMoved()
		remote, err := toAddrPort(e.GetRemote(), e.GetRemotePort())
		if err == nil && (!remote.Addr().IsValid() || remote.Port() == 0) {
			err = fmt.Errorf("a child moved to no address or port")
		}
		return machine.ChildMoved{SPIIn: e.GetSpiIn(), Remote: remote}, err
	case m.GetLost() != nil:
		return machine.ChildLost{SPIIn: m.GetLost().GetSpiIn()}, nil
	case m.GetPlaced() != nil:
		e := m.GetPlaced()
		return machine.ChildPlaced{SPIIn: e.GetSpiIn(), Where: clean(e.GetWhere()), Reason: clean(e.GetReason())}, nil
	}
	return nil, fmt.Errorf("an event of no kind that is known")
}

func toAcquire(m *sav1.Acquired) (Acquire, error) {
	source, err := toAddrPort(m.GetSource(), m.GetSourcePort())
	if err != nil {
		return Acquire{}, err
	}
	destination, err := toAddrPort(m.GetDestination(), m.GetDestinationPort())
	if err == nil && m.GetProtocol() > 255 {
		err = fmt.Errorf("a packet of protocol %d", m.GetProtocol())
	}
	return Acquire{Conn: clean(m.GetConn()), Child: clean(m.GetName()), Protocol: uint8(m.GetProtocol()), Source: source, Destination: destination}, err
}

func toAddrPort(addr []byte, port uint32) (netip.AddrPort, error) {
	a, err := toAddr(addr)
	if err == nil && port > 1<<16-1 {
		err = fmt.Errorf("port %d", port)
	}
	return netip.AddrPortFrom(a, uint16(port)), err
}
