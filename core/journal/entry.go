package journal

import (
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// entry is an input in the form that gob can carry: gob has no way to say "an empty struct", which ticks, probes and some
// results are, so that those travel by name.
type entry struct {
	At     time.Time
	Owner  machine.Owner
	Kind   kind
	Name   string        // an input without fields
	Input  machine.Input // an input with fields, but no reply
	Ticket machine.Ticket
	Empty  string         // a result without fields
	Result machine.Result // a result with fields
	Err    *machine.CallError
	Digest uint64
}

type kind uint8

const (
	kindInput kind = iota
	kindReply
	kindCheck
)

// inputs and results are all that machines take. Their names are part of the format.
var (
	inputs = index[machine.Input](
		machine.Datagram{}, machine.Tick{}, machine.Initiate{}, machine.Terminate{}, machine.Probe{}, machine.Rekey{},
		machine.Migrate{}, machine.ChildExpired{}, machine.ChildMoved{}, machine.ChildLost{}, machine.ChildPlaced{},
		machine.Decided{}, machine.Replaced{}, machine.Reauthenticate{}, machine.Redirect{}, machine.Reconfigure{}, machine.Path{},
		machine.Inherit{})
	results = index[machine.Result](
		machine.KEInitiated{}, machine.KEResponded{}, machine.KEFinished{}, machine.Signed{}, machine.Verified{},
		machine.Authenticated{}, machine.AllocatedSPI{}, machine.Freed{}, machine.Installed{}, machine.Removed{}, machine.Usage{},
		machine.Admitted{}, machine.Leased{}, machine.Released{}, machine.SKEYIDDerived{}, machine.Heir{},
		machine.Protected{}, machine.Unprotected{}, machine.PasswordChecked{}, machine.OwnPasswordFound{})
)

// What a configuration is made of, in inputs that carry one.
func init() { gob.RegisterName("parley.Connection", &policy.Connection{}) }

// index registers the types that have fields with gob, and returns all by name.
func index[T any](values ...T) map[string]T {
	byName := map[string]T{}
	for _, v := range values {
		byName[name(v)] = v
		if !empty(v) {
			gob.RegisterName("parley."+name(v), v)
		}
	}
	return byName
}

func name(v any) string { return reflect.TypeOf(v).Name() }

func empty(v any) bool { return reflect.TypeOf(v).NumField() == 0 }

var errUnknown = errors.New("journal: unknown type")

// pack turns an input into an entry.
func pack(now time.Time, owner machine.Owner, in machine.Input) (*entry, error) {
	e := &entry{At: now, Owner: owner}
	if r, ok := in.(machine.Reply); ok {
		return e, e.packReply(r)
	}
	switch {
	case inputs[name(in)] == nil:
		return nil, fmt.Errorf("%w of input: %T", errUnknown, in)
	case empty(in):
		e.Name = name(in)
	default:
		e.Input = in
	}
	return e, nil
}

func (e *entry) packReply(r machine.Reply) error {
	e.Kind, e.Ticket, e.Err = kindReply, r.Ticket, r.Err
	switch {
	case r.Result == nil:
	case results[name(r.Result)] == nil:
		return fmt.Errorf("%w of result: %T", errUnknown, r.Result)
	case empty(r.Result):
		e.Empty = name(r.Result)
	default:
		e.Result = r.Result
	}
	return nil
}

// unpack turns an entry into what a reader sees.
func (e *entry) unpack() (Entry, error) {
	out := Entry{Time: e.At, Owner: e.Owner}
	switch {
	case e.Kind == kindCheck:
		out.Check, out.Digest = true, e.Digest
	case e.Kind == kindReply:
		r := machine.Reply{Ticket: e.Ticket, Result: e.Result, Err: e.Err}
		if e.Empty != "" {
			r.Result = results[e.Empty]
		}
		if r.Result == nil && r.Err == nil {
			return out, fmt.Errorf("%w of result: %q", errUnknown, e.Empty)
		}
		out.Input = r
	case e.Input != nil:
		out.Input = e.Input
	case inputs[e.Name] != nil:
		out.Input = inputs[e.Name]
	default:
		return out, fmt.Errorf("%w of input: %q", errUnknown, e.Name)
	}
	return out, nil
}
