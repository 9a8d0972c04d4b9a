package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// createI is a CREATE_CHILD_SA exchange of ours that makes a child (RFC 7296 section 1.3.1). Fields are set by replies; step says
// what is due.
type createI struct {
	task
	s       *SA
	child   proposed
	spi     uint32 // our inbound ESP SPI, 0 until allocated
	ni      []byte
	share   keyShare
	sent    bool     // the peer has been asked
	stopped *failure // why the child is not wanted any more
}

// begin gets an SPI and, where a key exchange may be agreed on, a public value.
func (s *SA) begin(t task) {
	if conf, ok := s.conn.Child(t.conf.Name); ok { // with the addresses that were assigned since
		t.conf = conf
	}
	child, f := s.propose(t.conf)
	x := &createI{task: t, s: s, child: child}
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

// step sends the request when all is there: SA, Ni, [KEi], TSi, TSr (RFC 7296 section 1.3.1).
func (x *createI) step() {
	s := x.s
	switch {
	case s.create != x: // it has ended
		s.free(x.spi)
		return
	case x.spi == 0 || !x.share.ready() || x.sent:
		return
	}
	x.sent, x.ni = true, s.nonce()
	x.child.sa = espOffer(x.conf.ESP, x.spi)
	ps := x.child.payloads(append([]wire2.Payload{wire2.Nonce{Data: x.ni}}, x.share.payloads()...)...)
	s.request(request{exch: wire2.CreateChildSA, payloads: ps, answered: x.answered})
}

// answered takes the response.
func (x *createI) answered(p packet) {
	s := x.s
	_, made := wire2.Get[wire2.SA](p.Payloads)
	n, _ := firstError(p.Payloads)
	switch {
	case s.state != Established || x.stopped != nil && !made:
		x.end()
	case x.stopped != nil:
		x.lose(p, *x.stopped)
	case made:
		x.accept(p)
	case n.Kind == wire2.TemporaryFailure:
		x.end()
		s.putOff(x.task)
	case n.Kind == wire2.InvalidKEPayload && x.repeatWithMethod(n.Data):
	default:
		x.fail(*s.childRefused(x.child, p))
	}
}

// repeatWithMethod asks again with the method that the peer wants, if we offered it (RFC 7296 section 1.3).
func (x *createI) repeatWithMethod(data []byte) bool {
	if len(data) != 2 {
		return false
	}
	wanted := binary.BigEndian.Uint16(data)
	x.s.emit(event.InvalidKE{Sent: suite.KEID(x.share.method).String(), Wanted: suite.KEID(wanted).String(), By: byPeer})
	if slices.Contains(x.share.tried, wanted) || !offersMethod(x.conf.ESP, wanted) {
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
	c, err := s.newChild(agreed)
	if err != nil {
		x.lose(p, *keysFailure(err))
		return
	}
	s.tellNarrowed(c, x.child.local, x.child.remote)
	s.install(c, func(err *machine.CallError) {
		if f := s.childInstalled(c, err); f != nil {
			x.lose(p, *f)
			return
		}
		x.end()
		s.announce(c)
		if x.stopped != nil {
			s.deleteChild(c, byOperator, x.stopped.reason)
		}
	})
}

// stop gives the exchange up: at once, or when the peer has answered.
func (x *createI) stop(f failure) {
	x.stopped = &f
	if !x.sent {
		x.fail(f)
	}
}

// fail ends the exchange without a child.
func (x *createI) fail(f failure) {
	if x.s.create != x {
		return
	}
	x.end()
	x.s.childFailed(x.conf.Name, f)
}

// lose ends the exchange though the peer may have made the child.
func (x *createI) lose(p packet, f failure) {
	x.s.create = nil
	x.wipe()
	x.s.loseChild(x.conf.Name, x.spi, p, f)
}

// end forgets the exchange and gives back an SPI that no child has.
func (x *createI) end() {
	x.s.create = nil
	x.wipe()
	x.s.free(x.spi)
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
