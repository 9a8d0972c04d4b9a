package pluginhost

import (
	"bytes"
	"strings"
	"time"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// asked serves a request of a plugin: an authenticator wants something of a credential store. Everything else is refused.
func (h *Host) asked(from *session, f *basev1.Frame) {
	if basev1.Op(f.GetOp()) == basev1.Op_OP_SA_EVENT {
		h.told(from, f)
		return
	}
	answer := func(reply *basev1.Frame, err *machine.CallError) {
		from.served()
		out := &basev1.Frame{Id: f.GetId(), Reply: true}
		switch {
		case err != nil:
			out.Error = protoError(err)
		case reply.GetError() != nil:
			out.Error = reply.GetError()
		default:
			out.Body = reply.GetBody()
		}
		_ = from.sender.Push(out) // it fails only when the plugin that asked is gone
	}
	if !from.serve() {
		answer(nil, failure(machine.Overloaded, "plugin %s has %d requests of its own in flight, its limit", from.name, from.window))
		return
	}
	op := basev1.Op(f.GetOp())
	if !askable[op] || !from.authenticator {
		answer(nil, failure(machine.Refused, "plugin %s may not ask for operation %d", from.name, f.GetOp()))
		return
	}
	budget := h.cfg.CallTimeout
	if ms := f.GetBudgetMs(); ms > 0 {
		budget = min(budget, time.Duration(ms)*time.Millisecond)
	}
	by := time.Now().Add(budget)
	walk := &storeWalk{host: h, op: op, body: f.GetBody(), by: by, stores: h.routes.Load().cred, answer: answer}
	walk.next()
}

// askable is what an authenticator may ask: everything of the credential stores.
var askable = map[basev1.Op]bool{
	basev1.Op_OP_CRED_FIND: true, basev1.Op_OP_CRED_MAC: true, basev1.Op_OP_CRED_SIGN: true, basev1.Op_OP_CRED_DECRYPT: true,
	basev1.Op_OP_CRED_TRUST: true, basev1.Op_OP_CRED_CHECK_PASSWORD: true, basev1.Op_OP_CRED_OWN_PASSWORD: true,
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// serve takes one of the places for requests of the plugin; served gives it back.
func (s *session) serve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving++
	return s.serving <= s.window
}

func (s *session) served() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
}

// storeWalk asks the credential stores in their order until one has the credential. The body passes through unread: it
// is a matter between the authenticator and the store.
type storeWalk struct {
	host   *Host
	op     basev1.Op
	body   []byte
	by     time.Time
	stores []target
	misses []string
	knows  bool // a store understood the question
	answer func(*basev1.Frame, *machine.CallError)
}

func (w *storeWalk) next() {
	if len(w.stores) == 0 {
		clear(w.body)
		text := "no credential store is there; add a plugin of kind cred"
		if len(w.misses) > 0 {
			text = strings.Join(w.misses, "; ")
		}
		kind := machine.Unsupported
		if w.knows || len(w.misses) == 0 {
			kind = machine.NoCredential
		}
		w.answer(nil, failure(kind, "%s", text))
		return
	}
	to := w.stores[0]
	w.stores = w.stores[1:]
	body := w.body // its new owner wipes it
	if w.body = nil; len(w.stores) > 0 {
		w.body = bytes.Clone(body)
	}
	c := &call{to: to, code: w.op, body: body, by: w.by, done: w.took}
	s, err := to.session()
	if err != nil {
		w.took(nil, err)
		return
	}
	s.submit([]*call{c}, func(_ *call, err *machine.CallError) { w.took(nil, err) })
}

func (w *storeWalk) took(f *basev1.Frame, err *machine.CallError) {
	if w.passes(f.GetError().GetKind()) {
		w.misses = append(w.misses, clean(f.GetError().GetText()))
		w.next()
		return
	}
	if f.GetError() != nil {
		f.Error.Text = clean(f.GetError().GetText())
	}
	clear(w.body)
	w.answer(f, err)
}

// passes tells whether the next store is asked. A store for pre-shared keys alone does not understand what is asked about
// other credentials, and need not; but one that has the key and not the derivation must not lose to another's key.
func (w *storeWalk) passes(kind basev1.Error_Kind) bool {
	w.knows = w.knows || kind == basev1.Error_NO_CREDENTIAL
	return kind == basev1.Error_NO_CREDENTIAL || kind == basev1.Error_UNSUPPORTED && w.op != basev1.Op_OP_CRED_MAC
}
