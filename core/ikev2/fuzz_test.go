package ikev2

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// FuzzStepDatagram gives SAs in every state a hostile packet: as it is, with the header made to fit, and as the inside of a
// well-protected message. Nothing may panic, and the SA must still have an end to wait for.
func FuzzStepDatagram(f *testing.F) {
	w := newWorld(f)
	recordAll(f, w)
	for _, r := range w.journal {
		if d, ok := r.in.(machine.Datagram); ok {
			f.Add(d.Bytes, uint8(r.sa.state))
		}
	}
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, where uint8) {
		w, victim := worldInState(t, int(where))
		if victim == nil {
			return
		}
		for _, packet := range [][]byte{b, fitted(victim, b), protected(w, victim, b)} {
			w.step(victim, machine.Datagram{Local: victim.local, Remote: victim.remote, Bytes: packet})
		}
		w.pass(time.Minute, func() { w.answerCalls() })
	})
}

// recordAll lets two nodes make and end an SA.
func recordAll(f *testing.F, w *world) {
	p := &player{w}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	p.step(p.sa("b1"), machine.Probe{})
	p.run()
	p.step(p.sa("a1"), machine.Terminate{})
	p.run()
}

// worldInState returns a world after so many moves of a handshake and a deletion, and the SA that moved last.
func worldInState(t *testing.T, moves int) (*world, *host) {
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	for i := range moves % 24 {
		if i == 20 {
			p.step(p.sa("a1"), machine.Terminate{})
		}
		if !p.answerCalls() && !p.deliverNext() {
			break
		}
	}
	return p.world, p.journal[len(p.journal)-1].sa
}

// fitted gives b a header that the SA takes for its peer's next message.
func fitted(h *host, b []byte) []byte {
	head := wire.Header{InitiatorSPI: h.spii, ResponderSPI: h.spir, Major: 2, Exchange: wire2.IKESAInit}
	if len(b) > 1 {
		head.NextPayload, b = wire.PayloadType(b[0]), b[1:]
	}
	if h.initiator {
		head.Flags |= wire.FlagResponse
		head.ResponderSPI = 77
	} else {
		head.Flags |= wire.FlagInitiator
		head.ResponderSPI = 0
	}
	head.Length = uint32(wire.HeaderLen + len(b))
	return append(head.Append(nil), b...)
}

// protected seals b as one payload with the keys of the SA's peer, if there are any.
func protected(w *world, h *host, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	for _, other := range w.all() {
		if other == h || other.tap == nil {
			continue
		}
		head := wire.Header{InitiatorSPI: h.spii, ResponderSPI: h.spir, Major: 2, Exchange: wire2.IKEAuth + wire.ExchangeType(b[0]%3),
			MessageID: uint32(h.peer.next)}
		if other.initiator {
			head.Flags |= wire.FlagInitiator
		}
		sealed, err := other.tap.Seal(head, []wire2.Payload{wire2.Unknown{Number: wire.PayloadType(b[0]), Body: b[1:]}}, other.rand)
		if err == nil {
			return sealed
		}
	}
	return b
}

// FuzzInspectInit: the gate reads what nobody has checked.
func FuzzInspectInit(f *testing.F) {
	w := newWorld(f)
	recordAll(f, w)
	for _, r := range w.journal {
		if d, ok := r.in.(machine.Datagram); ok {
			f.Add(d.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := InspectInit(b)
		if err == nil && (in.InitiatorSPI == 0 || len(in.Nonce) < wire2.MinNonce || len(in.Cookie) > maxCookie) {
			t.Errorf("accepted %+v", in)
		}
		InvalidMajorVersionReply(b)
		InvalidSPIReply(b)
	})
}
