package ikev2

import (
	"bytes"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// createI is a CREATE_CHILD_SA exchange of ours that makes a child, perhaps in place of another (RFC 7296 sections 1.3.1 and
// 1.3.3). Fields are set by replies; step says what is due.
type createI struct {
	task
	s        *SA
	child    proposed
	spi      uint32 // our inbound ESP SPI, 0 until allocated
	ni       []byte
	share    keyShare
	sent     bool     // the peer has been asked
	answered bool     // and has answered
	stopped  *failure // why the child is not wanted any more
}

// begin gets an SPI and, where a key exchange may be agreed on, a public value. A new child in place of another is proposed
// with the selectors of that (RFC 7296 section 2.9.2).
func (s *SA) begin(t task) {
	if conf, ok := s.conn.Child(t.conf.Name); ok { // with the addresses that were assigned since
		t.conf = conf
	}
	child, f := s.propose(t.conf)
	if t.old != nil && !child.transport {
		child.local, child.remote = t.old.selectors()
	}
	x := &createI{task: t, s: s, child: child}
	s.early = nil
	if s.create = x; f != nil {
		x.fail(*f)
		return
	}
	s.reserve(t.conf.Backend, x.reserved)
	if method := s.firstMethod(t.conf.ESP); method != 0 {
		x.exchangeKeys(method)
	}
}

// firstMethod is the key exchange method to begin with: that of the IKE SA, which the peer has, before any other.
func (s *SA) firstMethod(ps []policy.Proposal) uint16 {
	if m := uint16(s.suite.KE); offersMethod(ps, m) {
		return m
	}
	return policy.FirstKE(ps)
}

func (x *createI) exchangeKeys(method uint16) {
	x.share.initiate(x.s, method, func(err *machine.CallError) {
		if err != nil {
			x.fail(pluginFailure("the key exchange plugin could not make a value of "+suite.KEID(method).String(), err))
			return
		}
		x.step()
	})
}

func (x *createI) reserved(spi uint32, err *machine.CallError) {
	if x.spi = spi; err != nil {
		f := noSPI(err)
		f.notify = 0
		x.fail(f)
		return
	}
	x.step()
}

// step sends the request when all is there: [N(REKEY_SA)], SA, Ni, [KEi], TSi, TSr (RFC 7296 sections 1.3.1 and 1.3.3).
func (x *createI) step() {
	s := x.s
	switch {
	case s.create != x: // it has ended
		s.calls.Free(x.spi)
		return
	case x.spi == 0 || !x.share.ready() || x.sent:
		return
	}
	x.sent, x.answered, x.ni = true, false, s.nonce()
	x.child.sa = espOffer(x.conf.ESP, x.spi)
	ps := x.child.payloads(append([]wire2.Payload{wire2.Nonce{Data: x.ni}}, x.share.payloads()...)...)
	if x.old != nil {
		ps = append([]wire2.Payload{wire2.Notify{Kind: wire2.RekeySA, Protocol: wire2.ProtoESP, SPI: spiBytes(x.old.sa.SPIIn)}}, ps...)
	}
	s.request(request{exch: wire2.CreateChildSA, payloads: ps, answered: x.response})
}

// response takes the response. While we are at work on a request of the peer to replace the very same child, it waits: only then
// can the nonces be compared.
func (x *createI) response(p packet) {
	s := x.s
	x.answered = true
	if s.serving != nil && x.old != nil && s.serving.old == x.old {
		s.serving.then = func() { x.response(p) }
		return
	}
	_, made := wire2.Get[wire2.SA](p.Payloads)
	n, _ := firstError(p.Payloads)
	switch {
	case s.state != Established || x.stopped != nil && !made:
		x.end()
	case x.stopped != nil:
		x.lose(p, *x.stopped)
	case made:
		x.accept(p)
	case x.old != nil && x.old.leftToPeer(): // it has replaced, or deleted, the child itself (RFC 7296 section 2.8.1)
		x.end()
	case x.old != nil && n.Kind == wire2.ChildSANotFound:
		x.startOver()
	case n.Kind == wire2.TemporaryFailure:
		x.end()
		s.putOff(x.task)
	case n.Kind == wire2.InvalidKEPayload && x.repeatWithMethod(n.Data):
	default:
		x.fail(*s.childRefused(x.child, p))
		if x.old != nil {
			s.insteadOf(n.Kind)
		}
	}
}

// repeatWithMethod asks again with the method that the peer wants, if we offered it (RFC 7296 section 1.3).
func (x *createI) repeatWithMethod(data []byte) bool {
	wanted, ok := x.share.wanted(x.s, data, x.conf.ESP)
	if !ok {
		return false
	}
	x.sent = false
	x.exchangeKeys(wanted)
	return true
}

// accept takes a response that makes a child.
func (x *createI) accept(p packet) {
	s := x.s
	s.busy = never
	agreed, f := s.acceptChild(x.child, p)
	if f == nil && x.old != nil && !agreed.keeps(x.old) {
		f = &failure{cause: event.CauseNoSelectors, by: byUs,
			reason: fmt.Sprintf("the peer's answer to the rekeying of child %q is narrower than the child", x.conf.Name)}
	}
	if f != nil {
		x.lose(p, *f)
		return
	}
	nonce, _ := wire2.Get[wire2.Nonce](p.Payloads)
	agreed.spi, agreed.ni, agreed.nr = x.spi, x.ni, nonce.Data
	x.share.finish(s, agreed.choice.Suite.KE, p, func(shared secret.Bytes, f *failure) {
		if f != nil {
			x.lose(p, *f)
			return
		}
		agreed.shared = shared
		x.install(*agreed, p)
	})
}

func (x *createI) install(agreed agreement, p packet) {
	s := x.s
	if x.old != nil {
		agreed.reqID = x.old.sa.ReqID
	}
	c, err := s.newChild(agreed)
	if err != nil {
		x.lose(p, *keysFailure(err))
		return
	}
	s.tellNarrowed(c, x.child.local, x.child.remote)
	redundant := x.redundant(agreed)
	c.sa.Held = redundant
	s.install(c, func(err *machine.CallError) {
		if f := s.childInstalled(c, err); f != nil {
			x.lose(p, *f)
			return
		}
		x.end()
		x.installed(c, redundant)
	})
}

// redundant reports whether the peer has replaced the same child at the same time, and ours has the lowest of the four nonces
// (RFC 7296 section 2.8.1).
func (x *createI) redundant(agreed agreement) bool {
	return x.old != nil && x.old.heir != nil && bytes.Compare(lower(agreed.ni, agreed.nr), x.old.heir.low) < 0
}

// installed ends what the new child makes unnecessary: itself, or the one that it replaces.
func (x *createI) installed(c *child, redundant bool) {
	s := x.s
	switch {
	case redundant:
		s.replacedByUs(c)
	case x.old != nil:
		s.announceRekeyed(c, x.old, byUs)
		s.replacedByUs(x.old)
	default:
		s.announce(c)
	}
	if x.stopped != nil {
		s.deleteChild(c, byOperator, x.stopped.reason)
	}
}

// leftToPeer reports whether the peer has replaced or deleted the child, so that nothing is left to us.
func (c *child) leftToPeer() bool { return c.heir != nil || c.removing || !c.leaveAt.IsZero() }

// startOver is for a peer that does not know the child: ours is dropped without a word and made anew (RFC 7296 section 2.25).
func (x *createI) startOver() {
	s := x.s
	x.end()
	x.old.by, x.old.reason = byError, "the peer does not know it"
	s.remove(x.old)
	s.want([]string{x.conf.Name})
}

// stop gives the exchange up: at once, or when the peer has answered.
func (x *createI) stop(f failure) {
	x.stopped = &f
	switch {
	case x.sent:
	case x.old != nil:
		x.end()
	default:
		x.fail(f)
	}
}

// fail ends the exchange without a child. One that was to be replaced stays.
func (x *createI) fail(f failure) {
	if x.s.create != x {
		return
	}
	x.end()
	if x.old != nil {
		x.s.again(&x.old.life)
	}
	x.s.childFailed(x.conf.Name, f)
}

// lose ends the exchange though the peer may have made the child.
func (x *createI) lose(p packet, f failure) {
	x.s.create = nil
	x.wipe()
	if x.old != nil {
		x.s.again(&x.old.life)
	}
	x.s.loseChild(x.conf.Name, x.spi, p, f)
}

// end forgets the exchange and gives back an SPI that no child has.
func (x *createI) end() {
	x.s.create = nil
	x.wipe()
	x.s.calls.Free(x.spi)
}

func (x *createI) wipe() { x.share.wipe() }

// keyShare is the key exchange of a CREATE_CHILD_SA exchange of ours, with none if no method is set.
type keyShare struct {
	method  uint16
	private secret.Bytes
	public  []byte
	tried   []uint16
}

// initiate gets a public value.
func (k *keyShare) initiate(s *SA, method uint16, then func(*machine.CallError)) {
	k.wipe()
	k.method, k.public, k.tried = method, nil, append(k.tried, method)
	ask(s, machine.KEInitiate{Method: method}, 0, func(r machine.KEInitiated, err *machine.CallError) {
		k.private, k.public = r.State, r.Public
		then(err)
	})
}

func (k *keyShare) ready() bool { return k.method == 0 || k.public != nil }

func (k *keyShare) payloads() []wire2.Payload {
	if k.method == 0 {
		return nil
	}
	return []wire2.Payload{wire2.KE{Method: k.method, Data: k.public}}
}

// finish gets the shared secret, none when none was agreed on: a KE payload is ignored then (RFC 7296 section 1.3.1).
func (k *keyShare) finish(s *SA, agreed suite.KEID, p packet, then func(secret.Bytes, *failure)) {
	ke, ok := wire2.Get[wire2.KE](p.Payloads)
	switch {
	case agreed == 0:
		then(nil, nil)
	case !ok || ke.Method != k.method || uint16(agreed) != k.method:
		then(nil, &failure{cause: event.CauseInvalidKE, by: byUs,
			reason: fmt.Sprintf("the peer agreed on key exchange method %v without a value for it", agreed)})
	default:
		ask(s, machine.KEFinish{Method: k.method, State: k.private, Peer: ke.Data}, 0, func(r machine.KEFinished, err *machine.CallError) {
			if k.wipe(); err != nil {
				f := keFailure(agreed, err)
				then(nil, &f)
				return
			}
			then(r.Secret, nil)
		})
	}
}

func (k *keyShare) wipe() {
	k.private.Wipe()
	k.private = nil
}
