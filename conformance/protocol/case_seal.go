package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// The Encrypted payload (RFC 7296 sections 3.1, 3.14).
var sealCases = []Case{
	{IDs: ids("RFC7296-3.14-6"), Title: "Padding of any length that aligns, with any content, is accepted.", Run: anyPadding},
	{IDs: ids("RFC7296-3.14-3"), Title: "Any initialisation vector is accepted, also one that came before.", Run: anyIV},
	{IDs: ids("RFC7296-3.14-3"), Title: "The daemon's initialisation vectors are fresh, and none is the last ciphertext block.", Run: freshIVs},
	{IDs: ids("RFC7296-3.14-4", "RFC7296-3.14-5"), Title: "The daemon pads to whole blocks, and with less than a block.", Run: shortPadding},
	{IDs: ids("RFC7296-3.14-7"), Title: "A message with any bit of it changed is ignored: header, IV, ciphertext, checksum.", Run: flippedBits},
	{IDs: ids("RFC7296-3.14-1", "RFC7296-3.1-1"), Title: "A message in which something follows the Encrypted payload is not obeyed.", Run: trailingPayload},
	{IDs: ids("RFC7296-3.1-2"), Title: "An Encrypted payload inside another is not obeyed.", Run: nested},
	{IDs: ids("RFC7296-3.14-1"), Title: "Payloads in clear before the Encrypted payload do not pass for protected ones.", Run: clearBefore},
	{IDs: ids("RFC7296-3.14-6", "RFC7296-3.10.1-3"), Title: "A Pad Length longer than what is there, and ciphertext of no whole block, are refused or ignored.", Run: lyingPad},
	{IDs: ids("RFC7296-3.2-1", "RFC7296-3.2-5"), Title: "Critical and reserved bits of the Encrypted payload are ignored.", Run: sealedFlags},
	{IDs: ids("RFC7296-3.14-7", "RFC7296-2.1-2"), Title: "What was protected for one SA does not count on another.", Run: crossSA},
}

func anyPadding(t *T) {
	sa := t.up()
	for _, blocks := range []int{1, 2, 15} {
		m := sa.Request(peer.Informational, peer.NotifyPayload(40000, 1, 2, 3)) // 11 octets, padding 4, length 1
		t.send(sa.way, sa.Seal(m, peer.Oddities{Pad: peer.Random(4 + 16*blocks)}))
		sa.response(m)
	}
	gcm := t.newSA(peer.Suite{AEAD: true, Method: peer.X25519})
	gcm.agree(gcm.greet(gcm.hello()))
	gcm.admitted(gcm.ask(gcm.claim()))
	for _, n := range []int{0, 1, 3, 255} {
		m := gcm.Request(peer.Informational)
		t.send(gcm.way, gcm.Seal(m, peer.Oddities{Pad: peer.Random(n)}))
		gcm.response(m)
	}
}

func anyIV(t *T) {
	sa := t.up()
	for _, iv := range [][]byte{make([]byte, 16), make([]byte, 16), slices.Repeat([]byte{255}, 16)} {
		m := sa.Request(peer.Informational)
		t.send(sa.way, sa.Seal(m, peer.Oddities{IV: iv}))
		sa.response(m)
	}
}

func freshIVs(t *T) {
	for _, s := range []peer.Suite{usual, {AEAD: true, Method: peer.X25519}} {
		sa := t.newSA(s)
		sa.agree(sa.greet(sa.hello()))
		sa.admitted(sa.ask(sa.claim()))
		seen := map[string]bool{}
		for range 10 {
			m := sa.Request(peer.Informational)
			sa.push(m)
			d, _ := sa.wait(func(h peer.Message) bool { return h.ID == m.ID })
			_, sealed := sa.open(d)
			if seen[string(sealed.IV)] || slices.Max(sealed.IV) == 0 && !s.AEAD {
				t.Fatalf("the IV %x comes twice", sealed.IV)
			}
			seen[string(sealed.IV)] = true
			end := len(d.Bytes) - 16
			seen[string(d.Bytes[end-len(sealed.IV):end])] = true // an old habit of CBC, which attackers can use
		}
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
}

func shortPadding(t *T) {
	sa := t.begin()
	m := sa.claim()
	sa.push(m)
	d, answer := sa.wait(func(h peer.Message) bool { return h.ID == m.ID })
	sa.admitted(answer)
	for _, ps := range [][]peer.Payload{nil, {peer.DeletePayload(peer.ProtoESP, sa.in)}} {
		if _, sealed := sa.open(d); sealed.PadLen > 15 {
			t.Errorf("%d octets of padding for %d", sealed.PadLen, sealed.Len())
		}
		m := sa.Request(peer.Informational, ps...)
		sa.push(m)
		d, _ = sa.wait(func(h peer.Message) bool { return h.ID == m.ID })
	}
}

func flippedBits(t *T) {
	for _, s := range []peer.Suite{usual, {AEAD: true, Method: peer.X25519}} {
		sa := t.newSA(s)
		sa.agree(sa.greet(sa.hello()))
		sa.admitted(sa.ask(sa.claim()))
		m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
		sa.Own--
		whole := sa.seal(m)
		for i := 17; i < len(whole); i++ { // SPIs and the first Next Payload decide whether it is for this SA, and protected
			b := slices.Clone(whole)
			if b[i] ^= 1 << (i % 8); i == flagsAt {
				continue // they tell whose SPIs these are
			}
			t.send(sa.way, b)
		}
		pause(silence)
		for { // other versions and responses may be answered in clear
			d, ok := t.receive(0, anyDatagram)
			if !ok {
				break
			}
			if m := t.decode(d); len(m.Payloads) == 0 || m.Payloads[0].Type == peer.TypeSK {
				t.Errorf("a message with a changed bit is answered %v", m)
			}
		}
		sa.alive()
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
}

// flagsAt is where the flags stand in a header.
const flagsAt = 19

// disobeyed demands that the daemon did not obey a request to delete the IKE SA: it ignored it, or refused it with an error.
func (sa *SA) disobeyed(m peer.Message, b []byte) {
	sa.t.send(sa.way, b)
	if d, ok := sa.t.receive(silence, anyDatagram); ok {
		answer, _ := sa.open(d)
		sa.t.has(answer, peer.InvalidSyntax)
		return
	}
	sa.Own = m.ID
	sa.alive()
}

func trailingPayload(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.disobeyed(m, sa.Seal(m, peer.Oddities{After: []peer.Payload{peer.NotifyPayload(40000)}}))
}

func nested(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	inner := sa.seal(m)[28:]
	sa.disobeyed(m, sa.Seal(m, peer.Oddities{Inner: inner, InnerFirst: one(peer.TypeSK)}))
}

func clearBefore(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational)
	t.send(sa.way, sa.Seal(m, peer.Oddities{Before: []peer.Payload{peer.DeletePayload(peer.ProtoIKE)}}))
	if d, ok := t.receive(silence, sa.ours); ok {
		answer, _ := sa.open(d)
		if errs := answer.Errors(); len(errs) == 0 && len(answer.Payloads) != 0 {
			t.Errorf("the answer is %v", answer)
		} else if len(errs) > 0 {
			return
		}
	} else {
		sa.Own = m.ID
	}
	sa.alive()
	t.counts(1, 1)
}

func lyingPad(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.disobeyed(m, sa.Seal(m, peer.Oddities{LiePad: true}))
	sa = t.up()
	m = sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	whole := sa.seal(m)
	for n := range whole { // every prefix, with lengths that fit it
		b := slices.Clone(whole[:n])
		if n >= 28 {
			b[26], b[27] = byte(n>>8), byte(n)
		}
		if n >= 32 {
			b[30], b[31] = byte((n-28)>>8), byte(n-28)
		}
		t.send(sa.way, b)
	}
	sa.Own = m.ID
	sa.alive()
}

func sealedFlags(t *T) {
	sa := t.up()
	for _, flags := range []uint8{0x80, 0x7f, 0xff} {
		m := sa.Request(peer.Informational)
		t.send(sa.way, sa.Seal(m, peer.Oddities{Flags: flags}))
		if answer := sa.response(m); len(answer.Payloads) != 0 {
			t.Errorf("the answer is %v", answer)
		}
	}
}

func crossSA(t *T) {
	a, b := t.up(), t.up()
	m := a.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	a.Own--
	m.SPIi, m.SPIr = b.SPIi, b.SPIr
	t.send(a.way, a.seal(m))
	b.alive()
	a.alive()
}
