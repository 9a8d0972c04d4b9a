package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

// Capabilities tell what an SA backend can do on this machine, now.
type Capabilities struct {
	Usable          bool
	Reason          string // why it is usable or not, and how to mend it
	Algorithms      []Algorithm
	Modes           []machine.Mode
	ESN, Encap      bool
	MaxReplayWindow uint32
	Offload         string   // "none", "crypto", "packet"
	Epoch           uint64   // changes when the data plane lost its state
	Traps           bool     // it catches packets for which there is no child yet
	TFC             bool     // it can pad inner packets
	Settings        []string // of the data plane that it can do, as they are called in the configuration
	Devices         []Device // what it may give SAs to
}

// Device is a network device that does ESP.
type Device struct {
	Name            string
	Packet, Crypto  bool // the modes of offload that it does
	Algorithms      []Algorithm
	ESN             bool
	MaxReplayWindow uint32
}

// Algorithm is an ESP transform: type 1 encryption, 3 integrity (RFC 7296 section 3.3.2).
type Algorithm struct {
	Type    uint8
	ID      uint16
	KeyBits []uint16 // nil: it has one size
}

// Probe asks every SA backend what works here. A backend that does not answer is there as unusable, with the reason.
func (h *Host) Probe(ctx context.Context) map[string]Capabilities {
	out := map[string]Capabilities{}
	for name, to := range h.routes.Load().sa {
		var r sav1.ProbeResponse
		if err := h.await(ctx, to, basev1.Op_OP_SA_PROBE, &sav1.ProbeRequest{}, &r); err != nil {
			out[name] = Capabilities{Reason: err.Error()}
			continue
		}
		out[name] = capabilities(&r)
	}
	return out
}

func capabilities(r *sav1.ProbeResponse) Capabilities {
	out := Capabilities{
		Usable: r.GetUsable(), Reason: clean(r.GetReason()), ESN: r.GetEsn(), Encap: r.GetEncap(),
		MaxReplayWindow: r.GetMaxReplayWindow(), Offload: clean(r.GetOffload()), Epoch: r.GetEpoch(),
		Traps: r.GetTraps(), TFC: r.GetTfc(), Settings: settings(r.GetSettings()),
	}
	out.Algorithms = algorithms(r.GetAlgorithms())
	for _, d := range r.GetDevices() {
		if len(out.Devices) < maxDevices {
			out.Devices = append(out.Devices, Device{Name: clean(d.GetName()), Packet: d.GetPacket(), Crypto: d.GetCrypto(),
				Algorithms: algorithms(d.GetAlgorithms()), ESN: d.GetEsn(), MaxReplayWindow: d.GetMaxReplayWindow()})
		}
	}
	for _, m := range r.GetModes() {
		if m == sav1.Mode_TUNNEL || m == sav1.Mode_TRANSPORT {
			out.Modes = append(out.Modes, machine.Mode(m))
		}
	}
	return out
}

// algorithms drops what is of no meaning to IKE.
func algorithms(all []*sav1.Algorithm) (out []Algorithm) {
	for _, a := range all {
		if a.GetType() > 255 || a.GetId() > 1<<16-1 {
			continue
		}
		algorithm := Algorithm{Type: uint8(a.GetType()), ID: uint16(a.GetId())}
		for _, bits := range a.GetKeyBits() {
			if bits < 1<<16 {
				algorithm.KeyBits = append(algorithm.KeyBits, uint16(bits))
			}
		}
		out = append(out, algorithm)
	}
	return out
}

// maxDevices is far more than a machine has cards.
const maxDevices = 256

// List returns the children of this daemon that a backend holds, without keys.
func (h *Host) List(ctx context.Context, backend string) ([]machine.ChildSA, error) {
	to, callErr := h.route(service{kind: "sa", name: backend})
	if callErr != nil {
		return nil, callErr
	}
	var r sav1.ListResponse
	if err := h.await(ctx, to, basev1.Op_OP_SA_LIST, &sav1.ListRequest{Owner: h.cfg.Owner}, &r); err != nil {
		return nil, err
	}
	var out []machine.ChildSA
	for _, c := range r.GetChildren() {
		if c.GetOwner() != h.cfg.Owner {
			continue // we never touch what is another's
		}
		child, err := toChild(c, to.service)
		if err != nil {
			return nil, failure(machine.Internal, "plugin %s lists an impossible child: %v", to.supervisor.entry.Name, err)
		}
		out = append(out, child)
	}
	return out, nil
}

// Install installs a child and waits for the answer.
func (h *Host) Install(ctx context.Context, c machine.ChildSA) error {
	_, err := h.perform(ctx, machine.InstallChild{Child: c})
	return err
}

// Update brings a child to a new description and waits for the answer.
func (h *Host) Update(ctx context.Context, c machine.ChildSA) error {
	_, err := h.perform(ctx, machine.UpdateChild{Child: c})
	return err
}

// Remove removes a child and returns its final counters.
func (h *Host) Remove(ctx context.Context, c machine.ChildSA) (event.Traffic, error) {
	r, err := h.perform(ctx, machine.RemoveChild{Child: c})
	if err != nil {
		return event.Traffic{}, err
	}
	return r.(machine.Removed).Traffic, nil
}

// Usage returns a child's counters.
func (h *Host) Usage(ctx context.Context, c machine.ChildSA) (event.Traffic, error) {
	r, err := h.perform(ctx, machine.QueryUsage{Child: c})
	if err != nil {
		return event.Traffic{}, err
	}
	return r.(machine.Usage).Traffic, nil
}

// Reconcile makes a backend hold what the daemon has: it installs what is missing, updates what has other
// addresses or is held back wrongly, and removes what is unknown unless spare says to leave it. want is asked after the backend was,
// so that a child installed meanwhile is not taken for unknown, and before spare. The event is published.
func (h *Host) Reconcile(ctx context.Context, backend string, want func() ([]machine.ChildSA, error), spare func(machine.ChildSA) bool) (event.BackendReconciled, error) {
	done := event.BackendReconciled{Backend: backend}
	have, err := h.List(ctx, backend)
	if err != nil {
		return done, fmt.Errorf("pluginhost: reconciling SA backend %q: %w", backend, err)
	}
	held := map[childKey]machine.ChildSA{}
	for _, c := range have {
		held[keyOf(c)] = c
	}
	wanted, err := want()
	if err != nil { // an incomplete list would have children removed that are in use
		return done, fmt.Errorf("pluginhost: reconciling SA backend %q: %w", backend, err)
	}
	var problems []error
	for _, c := range wanted {
		if have, ok := held[keyOf(c)]; ok {
			delete(held, keyOf(c))
			if placeOf(have) == placeOf(c) {
				done.Kept++
			} else {
				count(&done.Updated, &done.Failed, &problems, h.Update(ctx, c))
			}
			continue
		}
		count(&done.Reinstalled, &done.Failed, &problems, h.Install(ctx, c))
	}
	for _, c := range held {
		if spare(c) {
			done.Left++
			continue
		}
		_, err := h.Remove(ctx, c)
		count(&done.Removed, &done.Failed, &problems, err)
	}
	h.publish(done)
	return done, errors.Join(problems...)
}

func count(good, bad *int, problems *[]error, err error) {
	if err == nil {
		*good++
		return
	}
	*bad++
	*problems = append(*problems, err)
}

// childKey is what makes two descriptions the same child.
type childKey struct {
	uid           event.UID
	spiIn, spiOut uint32
}

func keyOf(c machine.ChildSA) childKey { return childKey{c.UID, c.SPIIn, c.SPIOut} }

// place is what an update changes; a backend that died during one may have missed it.
type place struct {
	local, remote         netip.Addr
	localPort, remotePort uint16
	encap, held           bool
}

func placeOf(c machine.ChildSA) place {
	return place{c.Local, c.Remote, c.LocalPort, c.RemotePort, c.Encap, c.Held}
}

type answer struct {
	result machine.Result
	err    *machine.CallError
}

// perform makes one call and waits.
func (h *Host) perform(ctx context.Context, op machine.Op) (machine.Result, error) {
	where, _, _ := encode(op, h.cfg.Owner)
	to, callErr := h.route(where)
	if callErr != nil {
		return nil, callErr
	}
	got := make(chan answer, 1)
	h.ask(to, op, h.deadline(ctx), func(r machine.Result, err *machine.CallError) { got <- answer{r, err} })
	select {
	case a := <-got:
		if a.err != nil {
			return nil, a.err
		}
		return a.result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// await makes one call whose messages have no machine type, and waits.
func (h *Host) await(ctx context.Context, to target, code basev1.Op, request, response message) error {
	type frame struct {
		f   *basev1.Frame
		err *machine.CallError
	}
	got := make(chan frame, 1)
	h.send(to, code, request, h.deadline(ctx), func(f *basev1.Frame, err *machine.CallError) { got <- frame{f, err} })
	select {
	case a := <-got:
		switch {
		case a.err != nil:
			return a.err
		case a.f.GetError() != nil:
			return callError(to.supervisor.entry.Name, a.f.GetError())
		}
		if err := unmarshal(a.f.GetBody(), response); err != nil {
			return failure(machine.Internal, "plugin %s gave an impossible answer: %v", to.supervisor.entry.Name, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Host) deadline(ctx context.Context) time.Time {
	by := time.Now().Add(h.cfg.CallTimeout)
	if d, ok := ctx.Deadline(); ok {
		by = earlier(by, d)
	}
	return by
}
