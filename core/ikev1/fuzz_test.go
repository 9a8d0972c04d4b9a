package ikev1

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// FuzzStep gives an SA in each state any datagram, in clear and as what stands inside a well-protected message: it may ignore it or end
// the SA, and must not panic or wait for ever.
func FuzzStep(f *testing.F) {
	f.Add(uint8(0), uint8(5), []byte{0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 14})
	f.Add(uint8(6), uint8(32), []byte{10, 0, 0, 4, 0, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint8(9), uint8(32), []byte{0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, moves, exchange uint8, inside []byte) {
		p := &player{newWorld(t)}
		p.quiet = true
		p.makeNodes([]string{"auth=" + []string{"psk", "signature"}[moves>>7], "aggressive=" + []string{"", "yes"}[moves>>6&1], "allow=yes"})
		p.initiate("a", nil)
		for range moves & 15 {
			for p.answerCalls() {
			}
			p.deliverNext()
		}
		for _, h := range p.all() {
			p.fuzzOne(h, exchange, inside)
		}
		p.advance(5 * time.Minute)
		for _, h := range p.all() {
			if !in(Established, Closed).has(h.State()) {
				t.Errorf("%s is still %v", h.label, h.State())
			}
		}
		p.replay()
	})
}

// fuzzOne sends the octets in clear, and encrypted as the next message of phase 1 or of an exchange after it.
func (p *player) fuzzOne(h *host, exchange uint8, inside []byte) {
	head := h.header(wire1.MainMode, 0)
	head.NextPayload, head.Length = wire1.TypeSA, uint32(28+len(inside))
	p.step(h, machine.Datagram{Local: h.local, Remote: h.remote, Bytes: append(head.Append(nil), inside...)})
	if h.cipher == nil || h.State() >= Closing || h.State() < Established && h.phase1 == nil {
		return
	}
	first := wire1.TypeHash
	ps, err := wire1.ParsePayloads(first, inside)
	if err != nil {
		return
	}
	id := uint32(exchange) + 1
	head = h.header(0, id)
	head.Exchange += wire1.QuickMode
	if exchange%2 == 0 {
		head.Exchange = wire1.Informational
	}
	ps = append([]wire1.Payload{wire1.Hash{Data: h.keys.Hash1(id, wire1.AppendPayloads(nil, ps))}}, ps...)
	b, _ := h.cipher.Seal(head, ps, h.exchangeIV(id))
	p.step(h, machine.Datagram{Local: h.local, Remote: h.remote, Bytes: b})
}
