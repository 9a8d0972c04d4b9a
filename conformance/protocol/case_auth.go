package protocol

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// IKE_AUTH with the daemon as the responder (RFC 7296 sections 1.2, 2.9, 2.15, 2.21.2, 3.5, 3.8, 3.13).
var authCases = []Case{
	{IDs: ids("RFC7296-1-1", "RFC7296-1.4-1"), Title: "Before IKE_AUTH, CREATE_CHILD_SA and INFORMATIONAL are not served.", Run: tooEarly},
	{IDs: ids("RFC7296-1.2-2", "RFC7296-2.21.2-1"), Title: "A wrong AUTH gets nothing but AUTHENTICATION_FAILED, and no SA: another key, cut, longer, empty, of other octets, the daemon's own.", Run: wrongProofs},
	{IDs: ids("RFC7296-1.2-2", "RFC7296-2.21.2-1"), Title: "An AUTH of another method than the key exchange of the connection gets AUTHENTICATION_FAILED.", Run: otherMethod},
	{IDs: ids("RFC7296-1.2-3", "RFC7296-2.21.2-1"), Title: "Who proves its own key under the identity of another peer gets AUTHENTICATION_FAILED.", Run: othersIdentity},
	{IDs: ids("RFC7296-2.21.2-1", "RFC7296-2.16-1"), Title: "IKE_AUTH without AUTH, which asks for EAP, gets AUTHENTICATION_FAILED: EAP is not spoken.", Run: asksForEAP},
	{IDs: ids("RFC7296-1.2-2"), Title: "IKE_AUTH in clear is not served; the true request after it is.", Run: authInClear},
	{IDs: ids("RFC7296-3.14-7", "RFC7296-1.2-2"), Title: "IKE_AUTH with a wrong checksum is ignored; the true request after it is served.", Run: authForged},
	{IDs: ids("RFC7296-2.21.2-2", "RFC7296-3.10.1-3"), Title: "A malformed IKE_AUTH gets nothing but INVALID_SYNTAX, and no SA.", Run: malformedAuth},
	{IDs: ids("RFC7296-2.15-1", "RFC7296-2.15-2"), Title: "A pre-shared key of 80 ASCII characters works, without a terminator.", Run: fourMessages,
		Tune: func(c *Connection) {
			c.Key = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&()*+,-./:;<=>"
		}},
	{IDs: ids("RFC7296-2.15-3"), Title: "A pre-shared key of any octets, configured in hexadecimal, works.", Run: fourMessages,
		Tune: func(c *Connection) { c.Key, c.KeyHex = "\x00\x01\xff\x00binary\x00", true }},
	{IDs: ids("RFC7296-3.5-3", "RFC7296-3.5-4"), Title: "A peer that is an ID_IPV4_ADDR is accepted.", Run: fourMessages,
		Tune: func(c *Connection) { c.PeerID = Identity{peer.IDIPv4, string([]byte{192, 0, 2, 77})} }},
	{IDs: ids("RFC7296-3.5-3", "RFC7296-3.5-4", "RFC7296-3.5-6"), Title: "A peer that is an ID_RFC822_ADDR is accepted.", Run: fourMessages,
		Tune: func(c *Connection) { c.PeerID = Identity{peer.IDRFC822, "somebody@example.net"} }},
	{IDs: ids("RFC7296-3.5-3", "RFC7296-3.5-4", "RFC7296-3.5-6"), Title: "A peer that is an ID_KEY_ID is accepted.", Run: fourMessages,
		Tune: func(c *Connection) { c.PeerID = Identity{peer.IDKeyID, "some-key"} }},
	{IDs: ids("RFC7296-3.5-4", "RFC7296-3.5-5"), Title: "A peer that is an ID_IPV6_ADDR is accepted.", Run: fourMessages,
		Tune: func(c *Connection) {
			a := netip.MustParseAddr("2001:db8::77").As16()
			c.PeerID = Identity{peer.IDIPv6, string(a[:])}
		}},
	{IDs: ids("RFC7296-3.5-2", "RFC7296-3.5-4"), Title: "The daemon's own FQDN has no terminator, in both roles.", Run: noTerminator},
	{IDs: ids("RFC7296-3.2-4", "RFC7296-3.10.1-2", "RFC7296-3.12-2"), Title: "CERT, CERTREQ, vendor IDs, unknown errors and statuses in an IKE_AUTH request harm nothing.", Run: authNoise},
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-2.21.2-3", "RFC7296-2.7-3"), Title: "When the child's proposals are unacceptable, IKE_AUTH makes the IKE SA alone and says NO_PROPOSAL_CHOSEN.", Run: childNoProposal},
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-2.21.2-3"), Title: "When the child's selectors are unacceptable, IKE_AUTH makes the IKE SA alone and says TS_UNACCEPTABLE.", Run: childNoSelectors},
	{IDs: ids("RFC7296-3.3.6-5"), Title: "An ESP proposal without the mandatory ESN transform is not accepted.", Run: childLacksESN},
	{IDs: ids("RFC7296-3.3.6-5", "RFC7296-3.3.6-6", "RFC7296-3.3.1-2"), Title: "Proposals for a child with what is unknown are passed over.", Run: childPassesOver},
	{IDs: ids("RFC7296-1.2-6", "RFC7296-3.3.6-9"), Title: "A proposal for the first child that names key exchange NONE is accepted.", Run: childKENone},
	{IDs: ids("RFC7296-2.9-3", "RFC7296-2.9-2"), Title: "Selectors that are wider than the daemon's are narrowed to its own.", Run: narrows},
	{IDs: ids("RFC7296-2.9-2", "RFC7296-2.9-3"), Title: "What selectors are narrowed to includes the first ones, when these are allowed.", Run: keepsFirst},
	{IDs: ids("RFC7296-2.9-3"), Title: "Selectors of all ports and protocols are narrowed to the one port of a daemon that wants no more.", Run: narrowsPorts,
		Tune: func(c *Connection) { c.Selectors = []string{DaemonTS + "[tcp/80]"} }},
	{IDs: ids("RFC7296-3.13.1-1", "RFC7296-3.13.1-2"), Title: "Selectors of one protocol and port, and of OPAQUE ports, are read as RFC 7296 writes them.", Run: oddPorts},
	{IDs: ids("RFC7296-1.3.1-1"), Title: "USE_TRANSPORT_MODE is not echoed by a daemon that wants tunnels, and the child comes up in tunnel mode.", Run: transportDeclined},
	{IDs: ids("RFC7296-2.22-1", "RFC7296-2.22-2"), Title: "IPComp that is offered is not accepted by a daemon that does not compress; the child comes up without.", Run: noIPComp},
	{IDs: ids("RFC7296-2.19-5"), Title: "No CFG_REPLY comes to who sent no CFG_REQUEST.", Run: fourMessages},
	{IDs: ids("RFC7296-2.4-2", "RFC7296-2.4-1"), Title: "INITIAL_CONTACT of the peer in IKE_AUTH harms nothing, and in a later message it is ignored.", Run: initialContact},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "A repeated IKE_AUTH request gets the same octets and makes no second SA.", Run: repeatedAuth},
	{IDs: ids("RFC7296-2.1-2"), Title: "An IKE_AUTH request that is repeated while the daemon is still busy with it makes one SA.", Run: impatientAuth},
}

func tooEarly(t *T) {
	for _, exchange := range []uint8{peer.CreateChildSA, peer.Informational} {
		sa := t.begin()
		ps := append([]peer.Payload{}, sa.child()...)
		if exchange == peer.CreateChildSA {
			ps = append(ps, peer.NoncePayload(peer.Random(32)))
		} else {
			ps = nil
		}
		sa.push(sa.Request(exchange, ps...))
		if d, ok := t.receive(silence, anyDatagram); ok {
			m, _ := sa.open(d)
			t.only(m, peer.InvalidSyntax)
		}
		t.counts(0, 0)
	}
}

// denied sends an IKE_AUTH request, which must be refused.
func (sa *SA) denied(ps ...peer.Payload) {
	sa.t.only(sa.ask(sa.Request(peer.IKEAuth, append(ps, sa.child()...)...)), peer.AuthenticationFailed)
	sa.t.counts(0, 0)
}

func wrongProofs(t *T) {
	for _, proof := range []func(sa *SA) []byte{
		func(sa *SA) []byte { return sa.Proof(true, t.Key+"x", sa.id.Body()) },
		func(sa *SA) []byte { return sa.Proof(true, t.Key, sa.id.Body())[:31] },
		func(sa *SA) []byte { return append(sa.Proof(true, t.Key, sa.id.Body()), 0) },
		func(*SA) []byte { return nil },
		func(sa *SA) []byte { return sa.Proof(true, t.Key, FQDN("else.example.net").Body()) },
		func(sa *SA) []byte { return sa.Proof(false, t.Key, FQDN(DaemonID).Body()) }, // what the daemon would send
		func(sa *SA) []byte {
			sa.Init1 = bytes.Replace(sa.Init1, sa.Ni, peer.Random(len(sa.Ni)), 1) // somebody changed the first message
			return sa.Proof(true, t.Key, sa.id.Body())
		},
	} {
		sa := t.begin()
		ps := sa.proofs()
		ps[2] = peer.AuthPayload(2, proof(sa))
		sa.denied(ps...)
	}
}

func otherMethod(t *T) {
	for _, method := range []uint8{0, 1, 3, 9, 13, 14, 200} {
		sa := t.begin()
		ps := sa.proofs()
		ps[2].Body[0] = method
		sa.denied(ps...)
	}
}

func othersIdentity(t *T) {
	for _, id := range []Identity{FQDN("c0.example.net"), FQDN(t.PeerID.Data + "\x00"), FQDN(t.PeerID.Data + "."), FQDN(""),
		{peer.IDRFC822, t.PeerID.Data}, {peer.IDKeyID, t.PeerID.Data}, {99, t.PeerID.Data}, FQDN(DaemonID)} {
		sa := t.begin()
		if id == t.PeerID {
			id = FQDN("c1.example.net")
		}
		sa.id = id
		sa.denied(sa.proofs()...)
	}
}

func asksForEAP(t *T) {
	sa := t.begin()
	sa.denied(sa.proofs()[:2]...)
}

func authInClear(t *T) {
	sa := t.begin()
	m := sa.claim()
	sa.t.send(sa.way, m.Encode())
	t.quiet()
	sa.admitted(sa.ask(m))
}

func authForged(t *T) {
	sa := t.begin()
	m := sa.claim()
	t.send(sa.way, sa.Seal(m, peer.Oddities{Forge: true}))
	t.quiet()
	sa.admitted(sa.ask(m))
}

func malformedAuth(t *T) {
	for _, spoil := range []func(ps []peer.Payload) []peer.Payload{
		func(ps []peer.Payload) []peer.Payload { return ps[1:] },                                          // no IDi
		func(ps []peer.Payload) []peer.Payload { return append(ps, ps[0]) },                               // two of them
		func(ps []peer.Payload) []peer.Payload { return slices.Delete(ps, 3, 4) },                         // TSi and TSr without SA
		func(ps []peer.Payload) []peer.Payload { ps[0].Body = ps[0].Body[:3]; return ps },                 // an ID shorter than its header
		func(ps []peer.Payload) []peer.Payload { ps[3].Body[3]++; return ps },                             // a proposal longer than the payload
		func(ps []peer.Payload) []peer.Payload { ps[4].Body[0] = 9; return ps },                           // more selectors than there are
		func(ps []peer.Payload) []peer.Payload { ps[5].Lie = peer.Lie(uint16(60000)); return ps },         // a payload longer than the message
		func(ps []peer.Payload) []peer.Payload { return append(ps, peer.KEPayload(31, peer.Random(32))) }, // KE does not belong there
	} {
		sa := t.begin()
		m := sa.claim()
		m.Payloads = spoil(slices.Clone(m.Payloads))
		t.only(sa.ask(m), peer.InvalidSyntax)
		t.counts(0, 0)
	}
}

func noTerminator(t *T) { // proven demands the very octets
	t.up().inform(peer.DeletePayload(peer.ProtoIKE))
	t.upByDaemon()
}

func authNoise(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads,
		peer.Payload{Type: peer.TypeCert, Body: append([]byte{4}, peer.Random(700)...)}, peer.Payload{Type: peer.TypeCert, Body: append([]byte{12}, peer.Random(40)...)},
		peer.Payload{Type: peer.TypeCertReq, Body: append([]byte{4}, peer.Random(40)...)},
		peer.Payload{Type: peer.TypeVendor, Body: peer.Random(16)},
		peer.NotifyPayload(8190), peer.NotifyPayload(45000, 1, 2), peer.Notify{Protocol: peer.ProtoESP, SPI: peer.SPI(), Kind: 41000}.Payload())
	sa.admitted(sa.ask(m))
}

// childless demands an IKE_AUTH response that proves the daemon and refuses the child.
func (sa *SA) childless(child []peer.Payload, kind uint16) {
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.proven(m)
	sa.t.kinds(m, peer.TypeIDr, peer.TypeAuth)
	sa.t.has(m, kind)
	sa.alive()
	sa.t.counts(1, 0)
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
}

func childNoProposal(t *T) {
	for _, spoil := range []func(p *peer.Proposal){
		func(p *peer.Proposal) { p.Transforms[0] = peer.Transform{Type: peer.ENCR, ID: 2} }, // DES
		func(p *peer.Proposal) { p.Transforms[0].ID = 12 },                                  // AES-CBC without integrity
		func(p *peer.Proposal) { p.Protocol = peer.ProtoAH },
	} {
		sa := t.begin()
		p := peer.ESPProposal(1, sa.in, 0)
		spoil(&p)
		child := sa.child()
		child[0] = peer.SAPayload(p)
		sa.childless(child, peer.NoProposalChosen)
	}
}

func childNoSelectors(t *T) {
	sa := t.begin()
	child := sa.child()
	child[2] = peer.TSPayload(peer.TypeTSr, peer.Net("172.16.0.0/12"))
	sa.childless(child, peer.TSUnacceptable)
	sa = t.begin()
	child = sa.child()
	child[1] = peer.TSPayload(peer.TypeTSi, peer.Net("2001:db8::/32")) // no packet is of both families
	sa.childless(child, peer.TSUnacceptable)
}

func childLacksESN(t *T) {
	sa := t.begin()
	child := sa.child()
	child[0] = peer.SAPayload(without(peer.ESPProposal(1, sa.in, 0), peer.ESN))
	sa.childless(child, peer.NoProposalChosen)
}

// takes asks for a child with other proposals, of which the daemon must take the one with a number.
func (sa *SA) takes(number uint8, ps ...peer.Proposal) {
	child := sa.child()
	child[0] = peer.SAPayload(ps...)
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.admitted(m)
	chosen, _ := peer.ParseSA(m.Body(peer.TypeSA))
	want := ps[slices.IndexFunc(ps, func(p peer.Proposal) bool { return p.Number == number })]
	for _, tr := range chosen[0].Transforms {
		if chosen[0].Number != number || !want.Has(tr) || len(chosen[0].Of(tr.Type)) != 1 {
			sa.t.Fatalf("the answer is %+v, want of proposal %d, %+v", chosen[0], number, want)
		}
	}
}

func childPassesOver(t *T) {
	sa := t.begin()
	good := peer.ESPProposal(4, sa.in, 0)
	sa.takes(4,
		with(peer.ESPProposal(1, sa.in, 0), peer.Transform{Type: 99, ID: 1}),
		with(without(peer.ESPProposal(2, sa.in, 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 3000}),
		with(without(peer.ESPProposal(3, sa.in, 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 20, Attrs: []byte{0x80, 14, 0, 128, 0x81, 0, 0, 1}}),
		with(good, peer.Transform{Type: peer.ENCR, ID: 20, KeyBits: 777}))
}

func childKENone(t *T) {
	sa := t.begin()
	child := sa.child()
	child[0] = peer.SAPayload(with(peer.ESPProposal(1, sa.in, 0), peer.Transform{Type: peer.KE}))
	sa.admitted(sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...)))
}

// sameSelectors reports whether two lists have the same selectors, in whatever order.
func sameSelectors(a, b []peer.Selector) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s peer.Selector) bool { return !slices.Contains(b, s) })
}

// narrowed asks for a child with selectors and demands what becomes of TSr.
func (t *T) narrowed(tsi, tsr []peer.Selector, want ...peer.Selector) {
	sa := t.begin()
	child := sa.child()
	child[1], child[2] = peer.TSPayload(peer.TypeTSi, tsi...), peer.TSPayload(peer.TypeTSr, tsr...)
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.admitted(m)
	got, err := peer.ParseTS(m.Body(peer.TypeTSr))
	t.must(err)
	if !sameSelectors(got, want) {
		t.Fatalf("TSr is %v, want %v", got, want)
	}
	theirs, err := peer.ParseTS(m.Body(peer.TypeTSi))
	t.must(err)
	for _, s := range theirs {
		if s.Start.Less(peer.Net(t.PeerTS).Start) || peer.Net(t.PeerTS).End.Less(s.End) {
			t.Fatalf("TSi is %v, more than %s", theirs, t.PeerTS)
		}
	}
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
}

func narrows(t *T) {
	all := []peer.Selector{peer.Net("0.0.0.0/0")}
	t.narrowed(all, all, peer.Net(DaemonTS))
	t.narrowed(all, []peer.Selector{peer.Net("10.1.2.0/24")}, peer.Net("10.1.2.0/24"))
	t.narrowed([]peer.Selector{peer.Net(t.PeerTS), peer.Net("2001:db8::/32")}, []peer.Selector{peer.Net("0.0.0.0/0"), peer.Net("::/0")}, peer.Net(DaemonTS))
}

func keepsFirst(t *T) {
	packet := peer.Selector{Protocol: 6, StartPort: 443, EndPort: 443, Start: netip.MustParseAddr("10.1.7.9"), End: netip.MustParseAddr("10.1.7.9")}
	sa := t.begin()
	child := sa.child()
	child[2] = peer.TSPayload(peer.TypeTSr, packet, peer.Net("0.0.0.0/0"))
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.admitted(m)
	got, err := peer.ParseTS(m.Body(peer.TypeTSr))
	t.must(err)
	if !slices.ContainsFunc(got, func(s peer.Selector) bool {
		return (s.Protocol == 0 || s.Protocol == 6) && s.StartPort <= 443 && s.EndPort >= 443 && !packet.Start.Less(s.Start) && !s.End.Less(packet.End)
	}) {
		t.Fatalf("TSr is %v and does not include the first selector %v", got, packet)
	}
}

func narrowsPorts(t *T) {
	want := peer.Net(DaemonTS)
	want.Protocol, want.StartPort, want.EndPort = 6, 80, 80
	t.narrowed([]peer.Selector{peer.Net(t.PeerTS)}, []peer.Selector{peer.Net("0.0.0.0/0")}, want)
}

func oddPorts(t *T) {
	udp := peer.Net("10.1.0.0/24")
	udp.Protocol, udp.StartPort, udp.EndPort = 17, 53, 60
	t.narrowed([]peer.Selector{peer.Net(t.PeerTS)}, []peer.Selector{udp}, udp)
	opaque := peer.Net("10.1.0.0/24")
	opaque.Protocol, opaque.StartPort, opaque.EndPort = 17, 65535, 0
	t.narrowed([]peer.Selector{peer.Net(t.PeerTS)}, []peer.Selector{opaque}, opaque)
}

func transportDeclined(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.UseTransportMode))
	answer := sa.ask(m)
	sa.admitted(answer)
	if _, echoed := answer.Notify(peer.UseTransportMode); echoed {
		t.Errorf("USE_TRANSPORT_MODE is echoed: %v", answer)
	}
}

func noIPComp(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.IPCompSupported, 0, 1, 2), peer.NotifyPayload(peer.IPCompSupported, 0, 2, 3))
	answer := sa.ask(m)
	sa.admitted(answer)
	if _, accepted := answer.Notify(peer.IPCompSupported); accepted {
		t.Errorf("IPComp is accepted: %v", answer)
	}
}

func initialContact(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.InitialContact))
	sa.admitted(sa.ask(m))
	if got := sa.inform(peer.NotifyPayload(peer.InitialContact)); len(got.Payloads) != 0 {
		t.Errorf("the answer is %v", got)
	}
	sa.alive()
	t.counts(1, 1)
}

func repeatedAuth(t *T) {
	sa := t.begin()
	m := sa.claim()
	sa.push(m)
	d, first := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID })
	sa.admitted(first)
	for range 3 {
		sa.again(m)
		if again, _ := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID }); !slices.Equal(d.Bytes, again.Bytes) {
			t.Fatalf("another response to the same request")
		}
	}
	sa.alive()
	t.counts(1, 1)
}

func impatientAuth(t *T) {
	sa := t.begin()
	m := sa.claim()
	sa.push(m)
	for range 4 {
		sa.again(m)
	}
	sa.admitted(sa.response(m))
	sa.inform()
	t.forget()
	sa.alive()
	t.counts(1, 1)
}
