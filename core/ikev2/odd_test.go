package ikev2

import (
	"math/rand/v2"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// A peer that proves who it is may still send odd things. The tests of this file send IKE_AUTH requests of its making.

// oddAuth has b1 answer a request with these payloads besides IDi and AUTH, and returns the answer.
func oddAuth(t *testing.T, ps ...wire2.Payload) (*host, wire2.Message) {
	t.Helper()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.node("b").trusts = true
	p.initiate("a", nil)
	for p.sa("a1").State() != AuthSent {
		_ = p.answerCalls() || p.deliverNext()
	}
	a, own := p.sa("a1"), p.flight[0]
	h := wire.Header{InitiatorSPI: a.spii, ResponderSPI: a.spir, Major: 2, Exchange: wire2.IKEAuth, Flags: wire.FlagInitiator, MessageID: 1}
	ps = append(ps, wire2.IDi(p.identity("east.example").Wire()), wire2.Auth{Method: wire2.AuthSharedKeyMIC})
	b, err := a.tap.Seal(h, ps, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	p.flight = nil
	p.arrive(datagram{from: a, Send: machine.Send{Local: own.Local, Remote: own.Remote, Bytes: b}})
	for p.answerCalls() {
	}
	if len(p.flight) != 1 {
		t.Fatalf("%d answers", len(p.flight))
	}
	m, err := p.sa("b1").tap.Open(p.flight[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return p.sa("b1"), m
}

// espWith returns an ESP offer of AES-GCM-128 that edit has changed.
func espWith(edit func(*wire2.Proposal)) wire2.SA {
	proposal, _ := policy.ParseProposal(policy.ScopeESP, "aes128gcm16")
	p := proposal.Wire(1, wire2.ProtoESP, []byte{0, 0, 9, 9})
	edit(&p)
	return wire2.SA{Proposals: []wire2.Proposal{p}}
}

func v4Range(start, end string, ports ...uint16) wire2.TrafficSelector {
	ts := wire2.TrafficSelector{Type: wire2.TSIPv4AddrRange, EndPort: 65535, StartAddr: []byte(start), EndAddr: []byte(end)}
	if len(ports) == 2 {
		ts.StartPort, ts.EndPort = ports[0], ports[1]
	}
	return ts
}

// RFC7296-2.21.2-3: the IKE SA is made all the same. RFC7296-3.3.5-5, RFC7296-3.3.6-5, -6, RFC7296-3.3-4: proposals that lack
// something or have something that we do not know are unacceptable. RFC 4303 section 2.1: SPIs up to 255 are reserved.
func TestOddOffersGetNoChild(t *testing.T) {
	t.Parallel()
	good := espWith(func(*wire2.Proposal) {})
	tsi, tsr := v4Range("\x0a\x01\x00\x00", "\x0a\x01\xff\xff"), v4Range("\x0a\x02\x00\x00", "\x0a\x02\xff\xff")
	mapped := wire2.TrafficSelector{Type: wire2.TSIPv6AddrRange, EndPort: 65535, StartAddr: append(make([]byte, 10), "\xff\xff\x0a\x01\x00\x00"...),
		EndAddr: append(make([]byte, 10), "\xff\xff\x0a\x01\xff\xff"...)}
	attribute := func(as ...wire2.Attribute) wire2.SA {
		return espWith(func(p *wire2.Proposal) { p.Transforms[0].Attributes = as })
	}
	key := wire2.Attribute{Type: wire2.AttrKeyLength, TV: true, Value: 128}
	for _, tt := range []struct {
		name string
		sa   wire2.SA
		tsi  wire2.TrafficSelector
		want wire2.NotifyType // 0: a child
	}{
		{"nothing odd", good, tsi, 0},
		{"a reserved SPI", espWith(func(p *wire2.Proposal) { p.SPI = []byte{0, 0, 0, 255} }), tsi, wire2.NoProposalChosen},
		{"SPI zero", espWith(func(p *wire2.Proposal) { p.SPI = make([]byte, 4) }), tsi, wire2.NoProposalChosen},
		{"AH", espWith(func(p *wire2.Proposal) { p.Protocol = wire2.ProtoAH }), tsi, wire2.NoProposalChosen},
		{"no ESN transform", espWith(func(p *wire2.Proposal) { p.Transforms = p.Transforms[:1] }), tsi, wire2.NoProposalChosen},
		{"an AEAD with integrity", espWith(func(p *wire2.Proposal) {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: wire2.TransformINTEG, ID: 12})
		}), tsi, wire2.NoProposalChosen},
		{"an AEAD with integrity or none", espWith(func(p *wire2.Proposal) {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: wire2.TransformINTEG, ID: 12}, wire2.Transform{Type: wire2.TransformINTEG})
		}), tsi, 0},
		{"an unknown transform type", espWith(func(p *wire2.Proposal) {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: 77, ID: 1})
		}), tsi, wire2.NoProposalChosen},
		{"no key length", attribute(), tsi, wire2.NoProposalChosen},
		{"key length zero", attribute(wire2.Attribute{Type: wire2.AttrKeyLength, TV: true}), tsi, wire2.NoProposalChosen},
		{"key length of variable length", attribute(wire2.Attribute{Type: wire2.AttrKeyLength, Data: []byte{0, 128}}), tsi, wire2.NoProposalChosen},
		{"key length twice", attribute(key, key), tsi, wire2.NoProposalChosen},
		{"an unknown attribute", attribute(key, wire2.Attribute{Type: 99, TV: true}), tsi, wire2.NoProposalChosen},
		{"a selector of an unknown type", good, wire2.TrafficSelector{Type: 99}, wire2.TSUnacceptable},
		{"addresses in the wrong order", good, v4Range("\x0a\x01\xff\xff", "\x0a\x01\x00\x00"), wire2.TSUnacceptable},
		{"ports in the wrong order", good, v4Range("\x0a\x01\x00\x00", "\x0a\x01\xff\xff", 9, 8), wire2.TSUnacceptable},
		{"ports without a protocol", good, v4Range("\x0a\x01\x00\x00", "\x0a\x01\xff\xff", 8, 9), wire2.TSUnacceptable},
		{"IPv4 in IPv6 form", good, mapped, wire2.TSUnacceptable},
	} {
		h, m := oddAuth(t, tt.sa, wire2.TSi{Selectors: []wire2.TrafficSelector{tt.tsi}}, wire2.TSr{Selectors: []wire2.TrafficSelector{tsr}})
		_, proved := wire2.Get[wire2.Auth](m.Payloads)
		n, _ := wire2.Get[wire2.Notify](m.Payloads)
		if h.State() != Established || !proved || n.Kind != tt.want || len(h.children) != map[bool]int{true: 1}[tt.want == 0] {
			t.Errorf("%s: %v, %s", tt.name, h.State(), renderPayloads(m.Payloads))
		}
	}
}

// RFC7296-2.21.2-2: a malformed request is rejected as a whole, with nothing but the notify.
func TestMalformedRequestsGetNothingElse(t *testing.T) {
	t.Parallel()
	good := espWith(func(*wire2.Proposal) {})
	ts := []wire2.TrafficSelector{v4Range("\x0a\x00\x00\x00", "\x0a\xff\xff\xff")}
	tsi, tsr := wire2.TSi{Selectors: ts}, wire2.TSr{Selectors: ts}
	for name, ps := range map[string][]wire2.Payload{
		"two IDi":                  {good, tsi, tsr, wire2.IDi{IDType: wire2.IDFQDN, Data: []byte("north.example")}},
		"two SA":                   {good, good, tsi, tsr},
		"no TSr":                   {good, tsi},
		"no selector in TSi":       {good, wire2.TSi{}, tsr},
		"a nonce":                  {good, tsi, tsr, wire2.Nonce{Data: make([]byte, 32)}},
		"a Delete":                 {good, tsi, tsr, wire2.Delete{Protocol: wire2.ProtoIKE}},
		"an ESP SPI of 3 octets":   {espWith(func(p *wire2.Proposal) { p.SPI = p.SPI[:3] }), tsi, tsr},
		"a selector cut short":     {good, wire2.TSi{Selectors: []wire2.TrafficSelector{v4Range("\x0a", "\x0a")}}, tsr},
		"a proposal of no content": {espWith(func(p *wire2.Proposal) { p.Transforms = nil }), tsi, tsr},
	} {
		h, m := oddAuth(t, ps...)
		if n, _ := wire2.Get[wire2.Notify](m.Payloads); h.State() != Closing || n.Kind != wire2.InvalidSyntax || len(m.Payloads) != 1 {
			t.Errorf("%s: %v, %s", name, h.State(), renderPayloads(m.Payloads))
		}
	}
}

// An identity that no connection expects, or that is none, gets the answer of a wrong key.
func TestOddIdentitiesGetTheAnswerOfAWrongKey(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]wire2.ID{
		"unknown":        {IDType: wire2.IDFQDN, Data: []byte("north.example")},
		"empty":          {IDType: wire2.IDFQDN},
		"reserved":       {Data: []byte("east.example")},
		"3 octets of IP": {IDType: wire2.IDIPv4Addr, Data: []byte{192, 0, 2}},
		"64 kB":          {IDType: wire2.IDKeyID, Data: make([]byte, 60000)},
		"a pattern":      {IDType: wire2.IDFQDN, Data: []byte("*.example")},
	} {
		p := upWorld(t)
		b := p.node("b")
		h := NewResponder(b.env, 1, [32]byte{1}, b.sas[0].local, b.sas[0].remote)
		h.candidates, h.conn = b.env.Policy.Connections, b.conn
		if f := h.selectConnection(packet{Message: wire2.Message{Payloads: []wire2.Payload{wire2.IDi(id)}}}); f == nil ||
			f.notify != wire2.AuthenticationFailed || len(f.reason) > 4096 {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// RFC7296-3.11-1, -3, RFC7296-1.4.1-3: each child that is named is deleted and answered for once, whatever else is named.
func TestDeletesOfManySPIsAreAnsweredOnce(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	many := wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4}
	for i := range uint32(wire2.MaxDeleteSPIs) {
		many.SPIs = append(many.SPIs, spiBytes(0x1001-i%2))
	}
	none := wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4}
	ah := wire2.Delete{Protocol: wire2.ProtoAH, SPISize: 4, SPIs: [][]byte{spiBytes(0x1001)}}
	for id, tt := range []struct {
		ps   []wire2.Payload
		want string
	}{
		{[]wire2.Payload{ah, none}, ""},
		{[]wire2.Payload{many, many, ah}, "D(ESP [00002001])"},
		{[]wire2.Payload{many}, ""},
	} {
		if got := renderPayloads(p.ask(p.sa("a1"), p.sa("b1"), uint32(id+2), tt.ps...)); got != tt.want {
			t.Errorf("request %d: %q, want %q", id, got, tt.want)
		}
	}
	if h := p.sa("b1"); h.State() != Established || len(h.children) != 0 {
		t.Errorf("%v with %d children", h.State(), len(h.children))
	}
}

// ask has an SA send a request of the test's making, and returns what is in the answer.
func (p *player) ask(from, to *host, id uint32, ps ...wire2.Payload) []wire2.Payload {
	p.t.Helper()
	h := wire.Header{InitiatorSPI: from.spii, ResponderSPI: from.spir, Major: 2, Exchange: wire2.Informational, Flags: wire.FlagInitiator, MessageID: id}
	b, err := from.tap.Seal(h, ps, rand.NewChaCha8([32]byte{}))
	if err != nil {
		p.t.Fatal(err)
	}
	p.flight = nil
	p.arrive(datagram{from: from, Send: machine.Send{Local: from.local, Remote: from.remote, Bytes: b}})
	for p.answerCalls() {
	}
	if len(p.flight) != 1 {
		p.t.Fatalf("%d answers", len(p.flight))
	}
	m, err := to.tap.Open(p.flight[0].Bytes)
	if err != nil {
		p.t.Fatal(err)
	}
	p.flight = nil
	return m.Payloads
}

// Anyone who saw our request can answer it first. An answer that is no good changes nothing for the one that is (RFC 7296
// section 2.21.1): RFC7296-3.9-1 (nonces), RFC7296-2.6-1 (SPIs), RFC7296-2.7-3, RFC7296-3.3.6-4, RFC7296-3.4-5.
func TestOddAnswersToTheFirstRequestDoNoHarm(t *testing.T) {
	t.Parallel()
	nonce := func(n int) func(*wire2.Message) {
		return func(m *wire2.Message) { replace(m, wire2.Nonce{Data: make([]byte, n)}) }
	}
	for name, edit := range map[string]func(*wire2.Message){
		"no responder's SPI":    func(m *wire2.Message) { m.Header.ResponderSPI = 0 },
		"another initiator SPI": func(m *wire2.Message) { m.Header.InitiatorSPI++ },
		"message ID 1":          func(m *wire2.Message) { m.Header.MessageID = 1 },
		"another exchange":      func(m *wire2.Message) { m.Header.Exchange = wire2.IKEAuth },
		"our own flag":          func(m *wire2.Message) { m.Header.Flags |= wire.FlagInitiator },
		"a request":             func(m *wire2.Message) { m.Header.Flags = 0 },
		"version 3":             func(m *wire2.Message) { m.Header.Major = 3 },
		"a nonce of 15 octets":  nonce(15),
		"a nonce of 257 octets": nonce(257),
		"two nonces":            func(m *wire2.Message) { m.Payloads = append(m.Payloads, wire2.Nonce{Data: make([]byte, 32)}) },
		"another group":         func(m *wire2.Message) { replace(m, wire2.KE{Method: 31, Data: make([]byte, 32)}) },
		"all that we offered":   func(m *wire2.Message) { replace(m, ikeOffer(policy.DefaultIKE())) },
		"an identity": func(m *wire2.Message) {
			m.Payloads = append(m.Payloads, wire2.IDr{IDType: wire2.IDFQDN, Data: []byte("x")})
		},
		"a critical payload": func(m *wire2.Message) { m.Payloads = append(m.Payloads, wire2.Unknown{Number: 200, Critical: true}) },
		"nothing":            func(m *wire2.Message) { m.Payloads = nil },
		"a refusal and a cookie": func(m *wire2.Message) {
			m.Payloads = []wire2.Payload{wire2.Notify{Kind: wire2.InvalidMajorVersion}, wire2.Notify{Kind: wire2.Cookie}}
		},
	} {
		p := &player{newWorld(t)}
		p.makeNodes(nil)
		p.initiate("a", nil)
		for p.node("b").sas == nil || p.sa("b1").State() != HalfOpen {
			_ = p.answerCalls() || p.deliverNext()
		}
		a, answer := p.sa("a1"), p.flight[0]
		m, err := wire2.Parse(answer.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		edit(&m)
		p.step(a, machine.Datagram{Local: a.local, Remote: a.remote, Bytes: m.Append(nil)})
		if a.State() != InitSent || len(p.flight) != 1 {
			t.Errorf("%s: %v, %d packets", name, a.State(), len(p.flight))
		}
		p.run()
		if a.State() != Established {
			t.Errorf("%s: the real answer makes it %v", name, a.State())
		}
	}
}

// replace puts a payload in the place of that of its type.
func replace(m *wire2.Message, p wire2.Payload) {
	for i := range m.Payloads {
		if m.Payloads[i].Type() == p.Type() {
			m.Payloads[i] = p
		}
	}
}
