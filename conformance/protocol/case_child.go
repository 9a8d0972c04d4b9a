package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// two gives the connections a second child.
var two = Settings{TwoChildren: true}

// Further children by CREATE_CHILD_SA (RFC 7296 sections 1.3, 1.3.1, 2.17, 2.25).
var childCases = []Case{
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-2.8-5"), Title: "CREATE_CHILD_SA makes a further child, also one whose selectors another has.", Run: furtherChild},
	{IDs: ids("RFC7296-1.3-3", "RFC7296-2.7-4"), Title: "With KEi and a group in the proposal, the response has KEr and that group.", Run: furtherChildKE},
	{IDs: ids("RFC7296-1.3-3", "RFC7296-3.4-5"), Title: "A KEi of another group than the one to use gets INVALID_KE_PAYLOAD with a group that was offered, and the IKE SA lives.", Run: childOtherGroup},
	{IDs: ids("RFC7296-3.3.6-9"), Title: "When no group is offered, or NONE is, KEi is ignored and no KEr sent.", Run: childIgnoresKE},
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-2.21.3-1", "RFC7296-2.7-3"), Title: "CREATE_CHILD_SA with unacceptable proposals, selectors or mode gets an error; the IKE SA and its child live.", Run: createChildRefused},
	{IDs: ids("RFC7296-2.21.3-1", "RFC7296-3.10.1-3", "RFC7296-3.9-1"), Title: "CREATE_CHILD_SA that lacks the nonce, or has a short one, is refused with INVALID_SYNTAX.", Run: childMalformed},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "A repeated CREATE_CHILD_SA request gets the same octets and makes no second child.", Run: childRepeated},
	{IDs: ids("RFC7296-2.9-2", "RFC7296-2.9-3"), Title: "Selectors of a further child are narrowed as those of the first.", Run: childNarrowed},
	{IDs: ids("RFC7296-2.25-1", "RFC7296-2.3-3"), Title: "While the daemon closes the IKE SA, CREATE_CHILD_SA gets TEMPORARY_FAILURE.", Run: childWhileClosing},
	{IDs: ids("RFC7296-1.3-1", "RFC7296-1.3-2", "RFC7296-3.4-2", "RFC7296-3.3-3", "RFC7296-3.9-2"), Title: "The daemon's CREATE_CHILD_SA request is well formed: its KEi is of an offered group, that of the IKE SA.", Run: daemonCreates, Settings: two},
	{IDs: ids("RFC7296-1.3-2", "RFC7296-1.2-4"), Title: "After INVALID_KE_PAYLOAD to CREATE_CHILD_SA the daemon asks again with the group asked for.", Run: daemonCreatesKE, Settings: two},
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-3.10.1-1"), Title: "When the peer refuses a further child, by an error known or not, the IKE SA and its first child live.", Run: daemonCreateRefused, Settings: two},
	{IDs: ids("RFC7296-2.25-2"), Title: "After TEMPORARY_FAILURE the daemon does not ask again at once, but it does later.", Run: daemonWaits, Settings: two},
	{IDs: ids("RFC7296-3.3.6-4", "RFC7296-2.9-2"), Title: "An answer to CREATE_CHILD_SA that was not offered makes no child.", Run: daemonCreateNotOffered, Settings: two},
	{IDs: ids("RFC7296-2.3-2", "RFC7296-2.3-4", "RFC7296-2.3-5"), Title: "With two things to ask, the daemon asks the second after the answer to the first.", Run: oneAtATime, Settings: two},
}

// offer is what we ask for, or agree to, in a CREATE_CHILD_SA exchange.
type offer struct {
	*SA
	spi   []byte
	nonce []byte
	half  *peer.Exchange // nil: no key exchange
	out   []byte         // the daemon's SPI
}

// offers makes an offer for a child, with a key exchange or (method 0) without.
func (sa *SA) offers(method uint16) *offer {
	o := &offer{SA: sa, spi: peer.SPI(), nonce: peer.Random(32)}
	if method != 0 {
		o.half = peer.NewExchange(method)
	}
	return o
}

func (o *offer) method() uint16 {
	if o.half == nil {
		return 0
	}
	return o.half.Method
}

// payloads are SA, Ni, [KEi], TSi, TSr.
func (o *offer) payloads() []peer.Payload {
	ps := []peer.Payload{peer.SAPayload(peer.ESPProposal(1, o.spi, o.method())), peer.NoncePayload(o.nonce)}
	if o.half != nil {
		ps = append(ps, peer.KEPayload(o.half.Method, o.half.Public))
	}
	return append(ps, o.child()[1:]...)
}

// made takes a response that makes the child.
func (o *offer) made(m peer.Message) {
	t := o.t
	if errs := m.Errors(); len(errs) > 0 {
		t.Fatalf("the child is refused with %v", errs)
	}
	want := []uint8{peer.TypeSA, peer.TypeNonce, peer.TypeTSi, peer.TypeTSr}
	if o.half != nil {
		want = slices.Insert(want, 2, peer.TypeKE)
	}
	t.kinds(m, want...)
	chosen := must(peer.ParseSA(m.Body(peer.TypeSA)))
	offered := peer.ESPProposal(1, o.spi, o.method())
	if len(chosen) != 1 || len(chosen[0].SPI) != 4 || len(chosen[0].Transforms) != len(offered.Transforms) {
		t.Fatalf("the answer has %+v", chosen)
	}
	if o.half != nil {
		_, err := o.half.Agree(m.Body(peer.TypeKE))
		t.must(err)
	}
	o.out = chosen[0].SPI
}

func furtherChild(t *T) {
	sa := t.up()
	o := sa.offers(0)
	o.made(sa.ask(sa.Request(peer.CreateChildSA, o.payloads()...)))
	if slices.Equal(o.out, sa.out) {
		t.Errorf("two children have the SPI %x", o.out)
	}
	t.counts(1, 2)
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.counts(1, 1)
}

func furtherChildKE(t *T) {
	sa := t.up()
	for _, method := range []uint16{peer.X25519, peer.P256, peer.MODP2048} {
		o := sa.offers(method)
		o.made(sa.ask(sa.Request(peer.CreateChildSA, o.payloads()...)))
	}
	t.counts(1, 4)
}

func childOtherGroup(t *T) {
	sa := t.up()
	o := sa.offers(peer.X25519)
	ps := o.payloads()
	ps[0] = peer.SAPayload(peer.ESPProposal(1, o.spi, peer.P256))
	n := t.only(sa.ask(sa.Request(peer.CreateChildSA, ps...)), peer.InvalidKEPayload)
	if len(n.Data) != 2 || binary.BigEndian.Uint16(n.Data) != peer.P256 {
		t.Errorf("the notify holds %x, want group 19", n.Data)
	}
	again := sa.offers(peer.P256)
	again.made(sa.ask(sa.Request(peer.CreateChildSA, again.payloads()...)))
	t.counts(1, 2)
}

func childIgnoresKE(t *T) {
	sa := t.up()
	for _, none := range []bool{true, false} {
		o := sa.offers(peer.X25519)
		ps := o.payloads()
		p := peer.ESPProposal(1, o.spi, 0)
		if none {
			p = with(p, peer.Transform{Type: peer.KE})
		}
		ps[0] = peer.SAPayload(p)
		m := sa.ask(sa.Request(peer.CreateChildSA, ps...))
		if len(m.Errors()) == 0 {
			t.kinds(m, peer.TypeSA, peer.TypeNonce, peer.TypeTSi, peer.TypeTSr)
			continue
		}
		if none { // KEi without any proposal that names a group is against RFC 7296 section 1.3, NONE is not
			t.Errorf("refused with %v", m.Errors())
		}
	}
}

func createChildRefused(t *T) {
	sa := t.up()
	o := sa.offers(0)
	ps := o.payloads()
	ps[0] = peer.SAPayload(with(without(peer.ESPProposal(1, o.spi, 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 2}))
	t.only(sa.ask(sa.Request(peer.CreateChildSA, ps...)), peer.NoProposalChosen)
	ps = o.payloads()
	ps[3] = peer.TSPayload(peer.TypeTSr, peer.Net("172.16.0.0/12"))
	t.only(sa.ask(sa.Request(peer.CreateChildSA, ps...)), peer.TSUnacceptable)
	sa.alive()
	t.counts(1, 1)
}

func childMalformed(t *T) {
	for _, spoil := range []func(ps []peer.Payload) []peer.Payload{
		func(ps []peer.Payload) []peer.Payload { return slices.Delete(ps, 1, 2) },
		func(ps []peer.Payload) []peer.Payload { ps[1] = peer.NoncePayload(peer.Random(15)); return ps },
		func(ps []peer.Payload) []peer.Payload { return ps[1:] },
	} {
		sa := t.up()
		t.only(sa.ask(sa.Request(peer.CreateChildSA, spoil(sa.offers(0).payloads())...)), peer.InvalidSyntax)
		t.daemonForgets(sa)
	}
}

func childRepeated(t *T) {
	sa := t.up()
	o := sa.offers(peer.X25519)
	m := sa.Request(peer.CreateChildSA, o.payloads()...)
	sa.push(m)
	sa.again(m) // while the daemon is busy with it
	d, answer := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID })
	o.made(answer)
	pause(silence)
	t.forget()
	sa.again(m)
	sa.same(m, d.Bytes)
	t.counts(1, 2)
}

func childNarrowed(t *T) {
	sa := t.up()
	o := sa.offers(0)
	ps := o.payloads()
	ps[2], ps[3] = peer.TSPayload(peer.TypeTSi, peer.Net("0.0.0.0/0")), peer.TSPayload(peer.TypeTSr, peer.Net("0.0.0.0/0"))
	m := sa.ask(sa.Request(peer.CreateChildSA, ps...))
	o.made(m)
	if got := must(peer.ParseTS(m.Body(peer.TypeTSr))); !slices.Equal(got, []peer.Selector{peer.Net(DaemonTS)}) {
		t.Errorf("TSr is %v, want %s", got, DaemonTS)
	}
	if got := must(peer.ParseTS(m.Body(peer.TypeTSi))); !slices.Equal(got, []peer.Selector{peer.Net(t.PeerTS)}) {
		t.Errorf("TSi is %v, want %s", got, t.PeerTS)
	}
}

func childWhileClosing(t *T) {
	sa := t.up()
	t.order(Down)
	theirs := sa.request(peer.Informational)
	t.only(sa.ask(sa.Request(peer.CreateChildSA, sa.offers(0).payloads()...)), peer.TemporaryFailure)
	sa.answer(theirs)
	t.counts(0, 0)
}

// createsSecond makes an SA, orders the second child and returns the daemon's request.
func (t *T) createsSecond() (*SA, peer.Message) {
	sa := t.up()
	t.order(UpSecond)
	m := sa.request(peer.CreateChildSA)
	want := []uint8{peer.TypeSA, peer.TypeNonce, peer.TypeTSi, peer.TypeTSr}
	if _, shares := m.First(peer.TypeKE); shares {
		want = slices.Insert(want, 2, peer.TypeKE)
	}
	t.kinds(m, want...)
	return sa, m
}

// agreeTo is our answer to the daemon's CREATE_CHILD_SA request, with its selectors.
func (sa *SA) agreeTo(m peer.Message) (o *offer, ps []peer.Payload) {
	method, number := uint16(0), uint8(0)
	if ke := m.Body(peer.TypeKE); ke != nil {
		method = binary.BigEndian.Uint16(ke)
	}
	o = sa.offers(method)
	for _, p := range must(peer.ParseSA(m.Body(peer.TypeSA))) {
		want := peer.ESPProposal(p.Number, o.spi, method)
		if number == 0 && !slices.ContainsFunc(want.Transforms, func(tr peer.Transform) bool { return !p.Has(tr) }) {
			number, o.out = p.Number, p.SPI
		}
	}
	ps = o.payloads()
	ps[0] = peer.SAPayload(peer.ESPProposal(number, o.spi, method))
	return o, append(ps[:len(ps)-2], peer.Payload{Type: peer.TypeTSi, Body: m.Body(peer.TypeTSi)}, peer.Payload{Type: peer.TypeTSr, Body: m.Body(peer.TypeTSr)})
}

func daemonCreates(t *T) {
	sa, m := t.createsSecond()
	t.wellOffered(m.Body(peer.TypeSA), peer.ProtoESP, 4, peer.ENCR, peer.ESN)
	if m.Body(peer.TypeKE) != nil {
		offered := slices.ContainsFunc(must(peer.ParseSA(m.Body(peer.TypeSA))), func(p peer.Proposal) bool {
			return p.Has(peer.Transform{Type: peer.KE, ID: method(m)})
		})
		if !offered || method(m) != sa.Suite.Method {
			t.Errorf("KEi is of group %d (offered: %v), the IKE SA has %d", method(m), offered, sa.Suite.Method)
		}
	}
	if nonce := m.Body(peer.TypeNonce); slices.Equal(nonce, sa.Nr) {
		t.Errorf("the nonce %x comes twice", nonce)
	}
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	t.counts(1, 2)
	sa.alive()
}

func daemonCreatesKE(t *T) {
	sa, m := t.createsSecond()
	if m.Body(peer.TypeKE) == nil {
		t.Fatalf("the request has no KEi: %v", m)
	}
	sa.answer(m, peer.NotifyPayload(peer.InvalidKEPayload, 0, peer.MODP2048))
	m = sa.request(peer.CreateChildSA)
	if method(m) != peer.MODP2048 {
		t.Errorf("KEi is of group %d, want 14", method(m))
	}
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	t.counts(1, 2)
}

func daemonCreateRefused(t *T) {
	for _, kind := range []uint16{peer.NoProposalChosen, peer.TSUnacceptable, peer.NoAdditionalSAs, 8004} {
		sa, m := t.createsSecond()
		sa.answer(m, peer.NotifyPayload(kind))
		sa.inform()
		t.counts(1, 1)
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
		t.forget()
	}
}

func daemonWaits(t *T) {
	sa, m := t.createsSecond()
	sa.answer(m, peer.NotifyPayload(peer.TemporaryFailure))
	t.quiet()
	m = sa.request(peer.CreateChildSA)
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	t.counts(1, 2)
}

func daemonCreateNotOffered(t *T) {
	sa, m := t.createsSecond()
	_, answer := sa.agreeTo(m)
	answer[0] = peer.SAPayload(with(without(peer.ESPProposal(1, peer.SPI(), 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 3}))
	sa.answer(m, answer...)
	if d, ok := t.receive(silence, sa.ours); ok { // it may delete what it believes us to have
		next, _ := sa.open(d)
		if _, any := next.Deletes(peer.ProtoESP); !any {
			t.Fatalf("the daemon goes on with %v", next)
		}
		sa.answer(next)
	}
	t.counts(1, 1)
	sa.alive()
}

func oneAtATime(t *T) {
	sa, m := t.createsSecond()
	t.order(DownChild)
	t.quiet()
	sa.alive()
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	next := sa.request(peer.Informational)
	sa.deleted(next)
	sa.answer(next)
	t.counts(1, 1)
}
