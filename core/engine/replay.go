package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// ErrDiverged says that a replay had other effects than the recorded run: the journal comes from another build, or a
// machine does not depend on its inputs alone.
var ErrDiverged = errors.New("engine: the replay differs from the recorded run; was the journal written by another version?")

// Replayed is one step of a replay.
type Replayed struct {
	Number  int // from 1
	Time    time.Time
	Owner   machine.Owner // the SA that stepped
	Input   machine.Input
	Effects []machine.Effect
	Info    machine.Info // after the step
}

// Replay runs the machine that build makes, and those that it spawns, through the inputs of a journal. It ends after an
// error: of the journal, as journal.ErrTorn for a recording that was cut off, or ErrDiverged.
func Replay(j *journal.Reader, build func(journal.Header) (machine.Machine, error)) iter.Seq2[Replayed, error] {
	return func(yield func(Replayed, error) bool) {
		m, err := build(j.Header)
		if err != nil {
			yield(Replayed{}, err)
			return
		}
		p := player{machines: map[machine.Owner]machine.Machine{machine.Owner(j.Header.SPI): m}, digests: map[machine.Owner]uint64{}}
		for entry, err := range j.All() {
			var step Replayed
			if err == nil {
				step, err = p.play(entry)
			}
			if entry.Check && err == nil {
				continue
			}
			if !yield(step, err) || err != nil {
				return
			}
		}
	}
}

// player is a replay at work.
type player struct {
	machines map[machine.Owner]machine.Machine
	steps    int
	digests  map[machine.Owner]uint64 // of the last step of each
}

func (p *player) play(entry journal.Entry) (Replayed, error) {
	if entry.Check {
		if entry.Digest != p.digests[entry.Owner] { // SAs of two shards write side by side
			return Replayed{Number: p.steps}, ErrDiverged
		}
		return Replayed{}, nil
	}
	m := p.machines[entry.Owner]
	if m == nil {
		return Replayed{}, fmt.Errorf("%w: an input is for SPI %016x, which does not exist", ErrDiverged, uint64(entry.Owner))
	}
	p.steps++
	step := Replayed{Number: p.steps, Time: entry.Time, Owner: entry.Owner, Input: entry.Input}
	var fx machine.Effects
	m.Step(entry.Time, entry.Input, &fx)
	step.Effects, step.Info = fx.List(), m.Info()
	p.digests[entry.Owner] = Digest(step.Effects)
	for _, effect := range step.Effects {
		if s, ok := effect.(machine.Spawn); ok {
			p.machines[s.Owner] = s.Machine
		}
	}
	return step, nil
}

// RenderInput returns an input in one line, without secrets.
func RenderInput(in machine.Input) string {
	switch in := in.(type) {
	case machine.Datagram:
		return fmt.Sprintf("datagram %s -> %s, %d octets: %s", in.Remote, in.Local, len(in.Bytes), head(in.Bytes))
	case machine.Reply:
		if in.Err != nil {
			return fmt.Sprintf("reply #%d: %v", in.Ticket, in.Err)
		}
		return fmt.Sprintf("reply #%d: %s", in.Ticket, typeName(in.Result))
	case machine.Reconfigure: // is long
		return typeName(in)
	case machine.Inherit: // has keys in it
		return fmt.Sprintf("%s of %v: %d children", typeName(in), in.From, len(in.Children))
	}
	return fmt.Sprintf("%s %+v", typeName(in), in)
}

// RenderEffect returns an effect in one line, without secrets.
func RenderEffect(effect machine.Effect) string {
	switch fx := effect.(type) {
	case machine.Send:
		return fmt.Sprintf("send %s -> %s, %d octets: %s", fx.Local, fx.Remote, len(fx.Bytes), head(fx.Bytes))
	case machine.Call:
		return fmt.Sprintf("call #%d: %s by %s", fx.Ticket, typeName(fx.Op), fx.By.Format("15:04:05.000"))
	case machine.Cancel:
		return fmt.Sprintf("cancel #%d", fx.Ticket)
	case machine.Emit:
		return fmt.Sprintf("emit %s %+v", fx.Event.Kind().Name, fx.Event)
	case machine.Spawn:
		return fmt.Sprintf("spawn %016x", uint64(fx.Owner))
	case machine.Decide:
		return fmt.Sprintf("decide about %016x", uint64(fx.Owner))
	case machine.Bequeath:
		return fmt.Sprintf("bequeath %d children to %v", len(fx.Children), fx.To)
	case machine.Renew:
		return fmt.Sprintf("renew with children %v", fx.Children)
	case machine.Done:
		return "done: " + fx.Reason
	}
	return fmt.Sprintf("%T", effect)
}

func typeName(v any) string { return reflect.TypeOf(v).Name() }

// headOctets is how much of a message is shown: its header.
const headOctets = 28

func head(b []byte) string {
	if len(b) > headOctets {
		return hex.EncodeToString(b[:headOctets]) + "..."
	}
	return hex.EncodeToString(b)
}
