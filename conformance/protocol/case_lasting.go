package protocol

import (
	"math/rand/v2"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// alone gives a case a daemon of its own, which forgets half-open SAs soon, and SAs that came to be though the answer was missed.
var alone = Settings{HalfOpen: 2 * time.Second, Liveness: time.Second, Tries: 4, Retransmit: hundred}

// What malformed messages leave behind (RFC 7296 section 2.21): nothing.
var lastingCases = []Case{
	{IDs: ids("RFC7296-2.4-5", "RFC7296-2.21.2-2", "RFC7296-2.21.3-1", "RFC7296-2.21.4-1", "RFC7296-2.6-2"),
		Title: "A thousand malformed, half-open, refused and mangled attempts leave neither an SA nor memory behind.", Run: nothingLasts, Settings: alone},
}

// attempts are ways to begin something that comes to nothing. Each gets an SA whose first message has not been sent.
var attempts = []func(sa *SA){
	(*SA).rubbish, (*SA).mangledHello, (*SA).halfOpen, (*SA).halfClaim, (*SA).wrongProof, (*SA).mangledClaim, (*SA).mangledChild, (*SA).mangledInform, (*SA).strange,
}

// mangling makes the same mess in every run.
var mangling = rand.New(rand.NewPCG(7296, 221))

// mangle changes a few octets.
func mangle(b []byte) []byte {
	for range 1 + mangling.IntN(4) {
		b[mangling.IntN(len(b))] = byte(mangling.Uint32())
	}
	return b
}

// mess is a message whose inside is mangled under a right checksum.
func (sa *SA) mess(m peer.Message) {
	inner, first := m.Inner()
	sa.hurl(sa.Seal(m, peer.Oddities{Inner: mangle(inner), InnerFirst: &first}))
}

// hurl sends without a line in the trace, which would be long.
func (sa *SA) hurl(b []byte) { sa.t.must(sa.way.from.Send(sa.way.to, b)) }

// meet does IKE_SA_INIT, with a cookie if need be, and reports whether it came to that.
func (sa *SA) meet() bool {
	m := sa.hello()
	for range 2 {
		sa.Init1 = m.Encode()
		sa.hurl(sa.Init1)
		d, ok := sa.t.listenFor(sa.SPIi)
		if !ok {
			return false
		}
		answer, err := peer.Decode(d.Bytes)
		sa.t.must(err)
		if n, asked := answer.Notify(peer.Cookie); asked {
			m = withCookie(m, n.Data)
			continue
		}
		if sa.Init2 = d.Bytes; answer.Body(peer.TypeKE) == nil {
			return false // it refuses for now, and may
		}
		sa.agree(answer)
		return true
	}
	return false
}

// moment is how long an attempt waits for an answer: what comes later is missed, which costs that attempt alone.
const moment = 15 * time.Millisecond

// listenFor waits a little for a message of an SA, without a line in the trace.
func (t *T) listenFor(spii uint64) (peer.Datagram, bool) {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	for {
		select {
		case d := <-t.inbox:
			if m, err := peer.Header(d.Bytes); err == nil && m.SPIi == spii {
				return d, true
			}
		case <-timer.C:
			return peer.Datagram{}, false
		}
	}
}

// enters makes an SA with a child.
func (sa *SA) enters() bool {
	if !sa.meet() {
		return false
	}
	m := sa.claim()
	sa.hurl(sa.seal(m))
	d, ok := sa.t.listenFor(sa.SPIi)
	if !ok {
		return false
	}
	answer, _ := sa.open(d)
	return answer.Body(peer.TypeSA) != nil
}

func (sa *SA) rubbish() { sa.hurl(peer.Random(1 + mangling.IntN(1500))) }

func (sa *SA) mangledHello() { sa.hurl(mangle(sa.hello().Encode())) }

func (sa *SA) halfOpen() { sa.meet() }

func (sa *SA) halfClaim() {
	if sa.meet() {
		all := sa.Fragment(sa.claim(), 60)
		for _, b := range all[:len(all)-1] {
			sa.hurl(b)
		}
	}
}

func (sa *SA) wrongProof() {
	if sa.meet() {
		m := sa.claim()
		m.Payloads[2] = peer.AuthPayload(2, peer.Random(32))
		sa.hurl(sa.seal(m))
		sa.t.listenFor(sa.SPIi)
	}
}

func (sa *SA) mangledClaim() {
	if sa.meet() {
		sa.mess(sa.claim())
		sa.leaves()
	}
}

func (sa *SA) mangledChild() {
	if sa.enters() {
		sa.mess(sa.Request(peer.CreateChildSA, sa.offers(peer.X25519).payloads()...))
		sa.leaves()
	}
}

func (sa *SA) mangledInform() {
	if sa.enters() {
		sa.mess(sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoESP, peer.SPI()), peer.NotifyPayload(peer.InitialContact)))
		sa.leaves()
	}
}

// leaves waits for the answer, if there is one, and deletes what may have come to be: again, when the daemon was still at work on the
// request before.
func (sa *SA) leaves() {
	answered := false
	sa.t.listenFor(sa.SPIi)
	b := sa.seal(sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE)))
	for n := 0; n < 5 && !answered; n++ {
		sa.hurl(b)
		_, answered = sa.t.listenFor(sa.SPIi)
	}
}

// strange speaks on an IKE SA that nobody knows.
func (sa *SA) strange() {
	sa.SPIr, sa.Nr = peer.SPI64(), peer.Random(32)
	sa.Agreed(peer.Random(32))
	sa.hurl(sa.seal(sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))))
}

// tries goes through all attempts so many times, waits until no SA is left, and returns what the daemon holds then.
func (t *T) tries(rounds int) (l Load) {
	for range rounds {
		for _, attempt := range attempts {
			attempt(t.newSA(usual))
		}
	}
	for end := time.Now().Add(2 * patience); ; pause(hundred) { // failed ones stay a while to repeat their last response
		var err error
		l, err = t.daemon.Load(t.context())
		if t.must(err); l.SAs == 0 {
			return l
		}
		if time.Now().After(end) {
			t.Fatalf("%d SAs are left", l.SAs)
		}
	}
}

func nothingLasts(t *T) {
	const (
		rounds = 30
		most   = 24 << 20 // a collected heap goes up and down by half of that; 32 KiB left by each attempt would be more
	)
	before := t.tries(rounds) // until buffers and pools have their size
	after := t.tries(3 * rounds)
	t.note("#", []Load{before, after})
	if grown := after.Memory - before.Memory; grown > most {
		t.Errorf("memory has grown by %d octets over %d attempts", grown, 3*rounds*len(attempts))
	}
	t.forget()
	t.up().inform()
}
