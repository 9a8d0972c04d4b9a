package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
)

// recorder is a machine that remembers its inputs and what they led to, so that a new one can be taken through the same.
type recorder struct {
	machine.Machine
	rebuild func() (machine.Machine, error) // nil for one that grew out of another
	spawned map[machine.Owner]*recorder
	steps   []recorded
}

type recorded struct {
	now    time.Time
	input  machine.Input
	digest uint64
}

// Step implements machine.Machine. Effects before this step, if any, are not part of it: engines reset them.
func (r *recorder) Step(now time.Time, in machine.Input, fx *machine.Effects) {
	kept := keep(in)
	r.Machine.Step(now, in, fx)
	r.steps = append(r.steps, recorded{now, kept, engine.Digest(fx.List())})
	for i, e := range fx.List() {
		if s, ok := e.(machine.Spawn); ok {
			fx.List()[i] = machine.Spawn{Owner: s.Owner, Machine: r.follow(s)}
		}
	}
}

// follow records an SA that grew out of this one.
func (r *recorder) follow(s machine.Spawn) machine.Machine {
	if r.spawned == nil {
		r.spawned = map[machine.Owner]*recorder{}
	}
	r.spawned[s.Owner] = &recorder{Machine: s.Machine}
	return r.spawned[s.Owner]
}

// keep copies the secrets of an input, which the machine wipes.
func keep(in machine.Input) machine.Input {
	if inherit, ok := in.(machine.Inherit); ok {
		return keepChildren(inherit)
	}
	reply, ok := in.(machine.Reply)
	if !ok {
		return in
	}
	switch result := reply.Result.(type) {
	case machine.KEInitiated:
		result.State = result.State.Clone()
		reply.Result = result
	case machine.KEResponded:
		result.Secret = result.Secret.Clone()
		reply.Result = result
	case machine.KEFinished:
		result.Secret = result.Secret.Clone()
		reply.Result = result
	case machine.SKEYIDDerived:
		result.Value = result.Value.Clone()
		reply.Result = result
	case machine.OwnPasswordFound:
		result.Password = result.Password.Clone()
		reply.Result = result
	case machine.Unprotected:
		result.Plain = slices.Clone(result.Plain)
		for i, p := range result.Plain {
			result.Plain[i] = p.Clone()
		}
		reply.Result = result
	}
	return reply
}

func keepChildren(in machine.Inherit) machine.Inherit {
	in.Children = slices.Clone(in.Children)
	for i := range in.Children {
		c := &in.Children[i].Child
		c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = c.EncrIn.Clone(), c.EncrOut.Clone(), c.IntegIn.Clone(), c.IntegOut.Clone()
	}
	return in
}

// replay takes a new machine through the recorded inputs and compares every step.
func (r *recorder) replay() error {
	again, err := r.rebuild()
	if err != nil {
		return err
	}
	return r.replayWith(again)
}

// replayWith takes a machine through the steps, and then those that grow out of it through theirs.
func (r *recorder) replayWith(again machine.Machine) error {
	var grown []machine.Spawn
	var fx machine.Effects
	for i, s := range r.steps {
		fx.Reset()
		again.Step(s.now, keep(s.input), &fx)
		if engine.Digest(fx.List()) != s.digest {
			return fmt.Errorf("sim: step %d of an SA (%s) differs in its replay", i+1, engine.RenderInput(s.input))
		}
		for _, e := range fx.List() {
			if s, ok := e.(machine.Spawn); ok {
				grown = append(grown, s)
			}
		}
	}
	for _, s := range grown {
		next := r.spawned[s.Owner]
		if next == nil {
			return fmt.Errorf("sim: the replay spawns %x, which nobody has seen", uint64(s.Owner))
		}
		if err := next.replayWith(s.Machine); err != nil {
			return err
		}
	}
	return nil
}

// recording is a protocol whose machines are recorders.
type recording struct {
	engine.Protocol
	made *[]*recorder
}

// NewInitiator implements engine.Version.
func (p recording) NewInitiator(b engine.Birth, conn string) (machine.Machine, error) {
	return initiator(p.Protocol, p.made, b, conn)
}

// NewResponder implements engine.Version.
func (p recording) NewResponder(b engine.Birth) machine.Machine {
	return responder(p.Protocol, p.made, b)
}

// recording1 is the same of IKEv1.
type recording1 struct {
	engine.Protocol1
	made *[]*recorder
}

// NewInitiator implements engine.Version.
func (p recording1) NewInitiator(b engine.Birth, conn string) (machine.Machine, error) {
	return initiator(p.Protocol1, p.made, b, conn)
}

// NewResponder implements engine.Version.
func (p recording1) NewResponder(b engine.Birth) machine.Machine {
	return responder(p.Protocol1, p.made, b)
}

func initiator(v engine.Version, made *[]*recorder, b engine.Birth, conn string) (machine.Machine, error) {
	return record(made, func() (machine.Machine, error) { return v.NewInitiator(b, conn) })
}

func responder(v engine.Version, made *[]*recorder, b engine.Birth) machine.Machine {
	m, _ := record(made, func() (machine.Machine, error) { return v.NewResponder(b), nil })
	return m
}

func record(made *[]*recorder, build func() (machine.Machine, error)) (machine.Machine, error) {
	m, err := build()
	if err != nil {
		return nil, err
	}
	r := &recorder{Machine: m, rebuild: build}
	*made = append(*made, r)
	return r, nil
}
