package protocol

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// mobile turns MOBIKE on at the daemon.
var mobile = Settings{MOBIKE: true}

// MOBIKE (RFC 4555).
var mobikeCases = []Case{
	{IDs: ids("RFC4555-3.2-1", "RFC4555-4.2.1-1"), Title: "The daemon announces MOBIKE_SUPPORTED, without data, in the IKE_AUTH message with SA, in both roles.", Run: announcesMOBIKE, Settings: mobile},
	{IDs: ids("RFC4555-4.2.1-1"), Title: "Whatever data MOBIKE_SUPPORTED has is ignored.", Run: mobikeData, Settings: mobile},
	{IDs: ids("RFC4555-3.3-1"), Title: "The daemon as the initiator goes to port 4500 without a NAT, when MOBIKE and NAT traversal are to be had.", Run: mobikeFloats, Settings: mobile},
	{IDs: ids("RFC4555-3.7-1", "RFC4555-3.7-2", "RFC4555-4.2.5-2"), Title: "After UPDATE_SA_ADDRESSES the daemon asks at the new address for an unpredictable COOKIE2 of 8 to 64 octets, and goes on there.", Run: peerMoves, Settings: mobile},
	{IDs: ids("RFC4555-3.7-4", "RFC4555-3.7-5"), Title: "A wrong COOKIE2 ends the IKE SA.", Run: wrongCookie2, Settings: mobile},
	{IDs: ids("RFC4555-3.7-4", "RFC4555-3.7-5"), Title: "An answer without COOKIE2 ends the IKE SA.", Run: noCookie2, Settings: mobile},
	{IDs: ids("RFC4555-3.7-3", "RFC4555-4.2.5-1"), Title: "The peer's COOKIE2 comes back unchanged.", Run: copiesCookie2, Settings: mobile},
	{IDs: ids("RFC4555-3.8-1"), Title: "NAT detection in an INFORMATIONAL request is answered with the daemon's, which is right.", Run: natdInInformational, Settings: mobile},
	{IDs: ids("RFC4555-3.8-4"), Title: "With MOBIKE, an authentic message from another address alone moves nothing.", Run: mobikeNoDynamic, Settings: mobile},
	{IDs: ids("RFC4555-3.9-2", "RFC4555-3.9-5"), Title: "NO_NATS_ALLOWED with other addresses than those of the packet gets UNEXPECTED_NAT_DETECTED, and nothing moves.", Run: noNATsAllowed, Settings: mobile},
	{IDs: ids("RFC4555-3.9-2"), Title: "NO_NATS_ALLOWED with the addresses of the packet lets the peer move.", Run: noNATsAllowedRight, Settings: mobile},
	{IDs: ids("RFC4555-3.8-2", "RFC4555-3.8-3"), Title: "Behind a NAT, the daemon's questions whether we live have NAT detection; a mapping that changed is told with UPDATE_SA_ADDRESSES.", Run: mappingChanges,
		Settings: Settings{MOBIKE: true, Liveness: time.Second}},
	{IDs: ids("RFC4555-3.5-1"), Title: "ICMP port unreachable moves nothing: the daemon goes on asking where it asked.", Run: icmpMovesNothing,
		Settings: Settings{MOBIKE: true, Retransmit: hundred, Tries: 8}},
	{IDs: ids("RFC4555-3.7-4", "RFC4555-4.2.5-2", "RFC4555-3.4-1"), Title: "When the peer falls silent, the daemon as the initiator tries its additional address, with UPDATE_SA_ADDRESSES and COOKIE2.", Run: triesAdditional,
		Settings: Settings{MOBIKE: true, Retransmit: hundred, Tries: 8}},
	{IDs: ids("RFC4555-3.9-3"), Title: "After UNEXPECTED_NAT_DETECTED to an update the daemon asks anew, with another COOKIE2, a few times and not for ever; the IKE SA lives.", Run: updateSpoiled,
		Settings: Settings{MOBIKE: true, Retransmit: hundred, Tries: 8}},
	{IDs: ids("RFC4555-3.9-4"), Title: "A connection that is to be up is tried again, from its beginning, after UNEXPECTED_NAT_DETECTED in IKE_AUTH.", Run: triesAgain,
		Settings: Settings{MOBIKE: true, Kept: true, Retransmit: hundred, Tries: 8}},
	{IDs: ids("RFC4555-3.6-1", "RFC4555-3.2-1"), Title: "Lists of additional addresses, and NO_ADDITIONAL_ADDRESSES, are answered and harm nothing; without MOBIKE they are ignored.", Run: addressLists, Settings: mobile},
	{IDs: ids("RFC4555-3.9-2", "RFC4555-3.9-5"), Title: "NO_NATS_ALLOWED in IKE_AUTH with other addresses than those of the packet gets UNEXPECTED_NAT_DETECTED, and no SA.", Run: noNATsInAuth, Settings: mobile},
	{IDs: ids("RFC4555-3.6-1", "RFC4555-3.7-1"), Title: "UPDATE_SA_ADDRESSES from the side that does not decide on addresses moves nothing.", Run: updateOfResponder, Settings: mobile},
	{IDs: ids("RFC4555-3.7-1", "RFC4555-3.6-1"), Title: "A peer that moves to and fro fifty times and answers no question is asked one at a time; when it answers, the daemon goes on where it is.", Run: restless, Settings: mobile},
	{IDs: ids("RFC4555-3.9-2", "RFC4555-3.7-3"), Title: "NO_NATS_ALLOWED of wrong lengths is no permission, COOKIE2 of wrong lengths and a hundred additional addresses do no harm.", Run: oddMobility, Settings: mobile},
	{IDs: ids("RFC4555-3.9-1"), Title: "To a peer without NAT traversal the daemon's IKE_AUTH request says NO_NATS_ALLOWED, with its addresses.", Run: saysNoNATs, Settings: mobile},
}

// movable is the notify that lets us move.
func movable() peer.Payload { return peer.NotifyPayload(peer.MOBIKESupported) }

// upMobile makes an SA as the initiator, with MOBIKE, on port 4500.
func (t *T) upMobile(more ...peer.Payload) *SA {
	sa := t.begin()
	sa.way = t.path(peer.PortNAT)
	m := sa.claim()
	m.Payloads = append(append(m.Payloads, movable()), more...)
	answer := sa.ask(m)
	sa.admitted(answer)
	if n, ok := answer.Notify(peer.MOBIKESupported); !ok || len(n.Data) != 0 {
		t.Fatalf("the daemon does not announce MOBIKE: %v", answer)
	}
	return sa
}

// elsewhere gives us another address and returns a way to the daemon from it.
func (t *T) elsewhere() path {
	b, bits := t.Peer.AsSlice(), "/64"
	b[len(b)-2] |= 0x80
	if t.Peer.Is4() {
		bits = "/16"
	}
	a, _ := netip.AddrFromSlice(b)
	t.must(t.ns.Addr("wan", a.String()+bits))
	p := t.listen(netip.AddrPortFrom(a, peer.PortNAT))
	return path{p, netip.AddrPortFrom(t.far, peer.PortNAT)}
}

func announcesMOBIKE(t *T) {
	t.upMobile().inform(peer.DeletePayload(peer.ProtoIKE))
	_, auth := t.greeted()
	if n, ok := auth.Notify(peer.MOBIKESupported); !ok || n.Protocol != 0 || len(n.SPI) != 0 || len(n.Data) != 0 || auth.Body(peer.TypeSA) == nil {
		t.Errorf("the notify is %+v (%v)", n, ok)
	}
}

func mobikeData(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.MOBIKESupported, 1, 2, 3, 4))
	answer := sa.ask(m)
	sa.admitted(answer)
	if _, ok := answer.Notify(peer.MOBIKESupported); !ok {
		t.Errorf("the daemon does not announce MOBIKE: %v", answer)
	}
}

func mobikeFloats(t *T) {
	sa, _ := t.greeted()
	if sa.way.to.Port() != peer.PortNAT || sa.way.from.Addr().Port() != peer.PortNAT {
		t.Errorf("IKE_AUTH went from port %d to port %d", sa.way.to.Port(), sa.way.from.Addr().Port())
	}
}

// moves tells the daemon that we are at the other end of a way, and returns its question there.
func (sa *SA) moves(to path) peer.Message {
	sa.way = to
	m := sa.inform(append(sa.natd(sa.SPIr), peer.NotifyPayload(peer.UpdateSAAddresses))...)
	if errs := m.Errors(); len(errs) > 0 {
		sa.t.Fatalf("the move is refused with %v", errs)
	}
	question := sa.request(peer.Informational)
	if sa.way.from != to.from || sa.way.to != to.to {
		sa.t.Fatalf("the question came to %v from %v, want to %v", sa.way.from.Addr(), sa.way.to, to.from.Addr())
	}
	n, ok := question.Notify(peer.Cookie2)
	if !ok || len(n.Data) < 8 || len(n.Data) > 64 {
		sa.t.Fatalf("want COOKIE2 of 8 to 64 octets: %v, %d octets", question, len(n.Data))
	}
	return question
}

// returned is the COOKIE2 of a question.
func returned(question peer.Message) peer.Payload {
	n, _ := question.Notify(peer.Cookie2)
	return peer.NotifyPayload(peer.Cookie2, n.Data...)
}

func peerMoves(t *T) {
	sa := t.upMobile()
	home, away := sa.way, t.elsewhere()
	var cookies [][]byte
	for _, to := range []path{away, home, away} {
		question := sa.moves(to)
		n, _ := question.Notify(peer.Cookie2)
		if slices.ContainsFunc(cookies, func(c []byte) bool { return bytes.Equal(c, n.Data) }) {
			t.Errorf("COOKIE2 %x comes twice", n.Data)
		}
		cookies = append(cookies, n.Data)
		sa.answer(question, returned(question))
	}
	sa.alive()
	sa.asks(away)
}

func wrongCookie2(t *T) {
	sa := t.upMobile()
	question := sa.moves(t.elsewhere())
	sa.answer(question, peer.NotifyPayload(peer.Cookie2, peer.Random(16)...))
	t.counts(0, 0)
}

func noCookie2(t *T) {
	sa := t.upMobile()
	question := sa.moves(t.elsewhere())
	sa.answer(question)
	t.counts(0, 0)
}

func copiesCookie2(t *T) {
	sa := t.upMobile()
	for _, size := range []int{8, 33, 64} {
		c := peer.Random(size)
		m := sa.inform(peer.NotifyPayload(peer.Cookie2, c...))
		if n, ok := m.Notify(peer.Cookie2); !ok || !bytes.Equal(n.Data, c) {
			t.Errorf("COOKIE2 %x comes back as %x (%v)", c, n.Data, ok)
		}
	}
}

func natdInInformational(t *T) {
	sa := t.upMobile()
	m := sa.inform(sa.natd(sa.SPIr)...)
	source, there := m.Notify(peer.NATDetectionSource)
	destination, also := m.Notify(peer.NATDetectionDestination)
	if !there || !also || !slices.Equal(source.Data, peer.NATHash(sa.SPIi, sa.SPIr, sa.way.to)) ||
		!slices.Equal(destination.Data, peer.NATHash(sa.SPIi, sa.SPIr, sa.way.from.Addr())) {
		t.Errorf("NAT detection is missing or wrong: %v", m)
	}
}

func mobikeNoDynamic(t *T) {
	sa := t.upMobile()
	before := sa.way
	sa.way = t.elsewhere()
	sa.inform() // answered there all the same (RFC 7296 section 2.11)
	sa.asks(before)
}

// addresses is the data of NO_NATS_ALLOWED (RFC 4555 section 4.2.6).
func addresses(p path) []byte {
	from, to := p.from.Addr(), p.to
	b := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	return append(b, byte(from.Port()>>8), byte(from.Port()), byte(to.Port()>>8), byte(to.Port()))
}

func noNATsAllowed(t *T) {
	sa := t.upMobile()
	before := sa.way
	sa.way = t.elsewhere()
	m := sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses), peer.NotifyPayload(peer.NoNATsAllowed, addresses(before)...))
	t.has(m, peer.UnexpectedNATDetected)
	sa.asks(before)
}

func noNATsAllowedRight(t *T) {
	sa := t.upMobile()
	sa.way = t.elsewhere()
	away := sa.way
	m := sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses), peer.NotifyPayload(peer.NoNATsAllowed, addresses(away)...))
	if errs := m.Errors(); len(errs) > 0 {
		t.Fatalf("the move is refused with %v", errs)
	}
	question := sa.request(peer.Informational)
	sa.answer(question, returned(question))
	sa.asks(away)
}

func mappingChanges(t *T) {
	t.order(Up)
	sa, call := t.called()
	mapped := netip.MustParseAddrPort("203.0.113.7:4500") // how the daemon is seen behind its NAT
	answer := sa.welcome(call)
	answer.Payloads = append(answer.Payloads[:3], peer.NotifyPayload(peer.NATDetectionSource, peer.NATHash(sa.SPIi, sa.SPIr, sa.way.from.Addr())...),
		peer.NotifyPayload(peer.NATDetectionDestination, peer.NATHash(sa.SPIi, sa.SPIr, mapped)...))
	sa.accept(call, answer)
	auth := sa.request(peer.IKEAuth)
	sa.answer(auth, append(append(sa.grant(), sa.grantChild(auth)...), movable())...)
	for i := range 3 {
		m := sa.request(peer.Informational)
		if _, ok := m.Notify(peer.NATDetectionDestination); !ok {
			t.Fatalf("the question has no NAT detection: %v", m)
		}
		if _, updates := m.Notify(peer.UpdateSAAddresses); updates {
			if i > 0 { // it may compare with what it saw on port 500
				t.Fatalf("the daemon has moved, and the mapping has not")
			}
		}
		if i == 2 {
			mapped = netip.AddrPortFrom(mapped.Addr(), 12345)
		}
		sa.answer(m, peer.NotifyPayload(peer.NATDetectionSource, peer.NATHash(sa.SPIi, sa.SPIr, sa.way.from.Addr())...),
			peer.NotifyPayload(peer.NATDetectionDestination, peer.NATHash(sa.SPIi, sa.SPIr, mapped)...))
	}
	for range 3 {
		m := sa.request(peer.Informational)
		ps := []peer.Payload{peer.NotifyPayload(peer.NATDetectionSource, peer.NATHash(sa.SPIi, sa.SPIr, sa.way.from.Addr())...),
			peer.NotifyPayload(peer.NATDetectionDestination, peer.NATHash(sa.SPIi, sa.SPIr, mapped)...)}
		if n, asks := m.Notify(peer.Cookie2); asks {
			ps = append(ps, peer.NotifyPayload(peer.Cookie2, n.Data...))
		}
		sa.answer(m, ps...)
		if _, updates := m.Notify(peer.UpdateSAAddresses); updates {
			return
		}
	}
	t.Errorf("the daemon does not tell that its mapping changed")
}

func icmpMovesNothing(t *T) {
	sa := t.upMobile()
	home := sa.way
	home.from.Close()
	t.order(DownChild)
	pause(3 * hundred)
	t.listen(home.from.Addr())
	m := sa.request(peer.Informational)
	sa.deleted(m)
	sa.answer(m)
	t.counts(1, 0)
}

func triesAdditional(t *T) {
	sa, update := t.updates()
	sa.answer(update, returned(update))
	sa.inform()
}

// updates has the daemon move to an address that we told it, because we fall silent, and returns its update there.
func (t *T) updates() (*SA, peer.Message) {
	sa, auth := t.greeted()
	away := t.elsewhere()
	b := away.from.Addr().Addr().As4()
	sa.answer(auth, append(append(sa.grant(), sa.grantChild(auth)...), movable(), peer.NotifyPayload(peer.AdditionalIP4Address, b[:]...))...)
	t.counts(1, 1)
	t.order(DownChild)
	d, ok := t.receive(patience, func(d peer.Datagram) bool { // what it asked at home is not answered there
		h, err := peer.Header(d.Bytes)
		return err == nil && sa.ours(d) && !h.Response() && d.Local == away.from.Addr()
	})
	if !ok {
		t.Fatalf("the daemon does not try %v", away.from.Addr())
	}
	t.forget()
	sa.way = path{away.from, d.Remote}
	m, _ := sa.open(d)
	sa.Theirs = m.ID + 1
	sa.answer(m) // the Delete
	update := sa.request(peer.Informational)
	sa.wellUpdated(update)
	return sa, update
}

// wellUpdated demands that a message is an update with a COOKIE2.
func (sa *SA) wellUpdated(m peer.Message) {
	n, cookie := m.Notify(peer.Cookie2)
	if _, updates := m.Notify(peer.UpdateSAAddresses); !updates || !cookie || len(n.Data) < 8 || len(n.Data) > 64 {
		sa.t.Fatalf("want UPDATE_SA_ADDRESSES with COOKIE2: %v", m)
	}
}

func updateSpoiled(t *T) {
	sa, update := t.updates()
	cookies := map[string]bool{}
	for n := range fewCalls {
		question, _ := update.Notify(peer.Cookie2)
		if cookies[string(question.Data)] {
			t.Fatalf("COOKIE2 %x comes twice", question.Data)
		}
		cookies[string(question.Data)] = true
		sa.answer(update, returned(update), peer.NotifyPayload(peer.UnexpectedNATDetected))
		d, ok := t.receive(2*silence, func(d peer.Datagram) bool {
			h, err := peer.Header(d.Bytes)
			return err == nil && sa.ours(d) && h.ID >= sa.Theirs // and no repetition
		})
		switch {
		case !ok && n == 0:
			t.Fatalf("the daemon does not ask anew")
		case !ok:
			t.forget()
			sa.inform()
			return
		}
		update, _ = sa.open(d)
		sa.Theirs = update.ID + 1
		sa.wellUpdated(update)
	}
	t.Errorf("the daemon has asked %d times", fewCalls)
}

func addressLists(t *T) {
	sa := t.upMobile(peer.NotifyPayload(peer.AdditionalIP4Address, 10, 99, 200, 1), peer.NotifyPayload(peer.AdditionalIP6Address, make([]byte, 16)...))
	for _, ps := range [][]peer.Payload{
		{peer.NotifyPayload(peer.AdditionalIP4Address, 10, 99, 200, 2), peer.NotifyPayload(peer.AdditionalIP4Address, 10, 99, 200, 3)},
		{peer.NotifyPayload(peer.NoAdditionalAddresses)},
		{peer.NotifyPayload(peer.AdditionalIP4Address, 1, 2, 3), peer.NotifyPayload(peer.AdditionalIP6Address)}, // cut
	} {
		if m := sa.inform(ps...); len(m.Errors()) > 0 && m.Errors()[0] != peer.InvalidSyntax {
			t.Errorf("the answer is %v", m)
		}
	}
	plain := t.up()
	if m := plain.inform(peer.NotifyPayload(peer.AdditionalIP4Address, 10, 99, 200, 2), peer.NotifyPayload(peer.UpdateSAAddresses)); len(m.Payloads) != 0 {
		t.Errorf("without MOBIKE the answer is %v", m)
	}
	plain.asks(plain.way)
}

func noNATsInAuth(t *T) {
	for _, right := range []bool{false, true} {
		sa := t.begin()
		m := sa.claim()
		data := addresses(sa.way)
		if !right {
			data[3]++
		}
		m.Payloads = append(m.Payloads, movable(), peer.NotifyPayload(peer.NoNATsAllowed, data...))
		answer := sa.ask(m)
		if right {
			sa.admitted(answer)
			continue
		}
		t.only(answer, peer.UnexpectedNATDetected)
		t.counts(0, 0)
	}
}

func saysNoNATs(t *T) {
	t.order(Up)
	sa, call := t.called()
	answer := sa.welcome(call)
	answer.Payloads = answer.Payloads[:3]
	sa.accept(call, answer)
	auth := sa.request(peer.IKEAuth)
	want := addresses(path{sa.way.from, sa.way.to})
	// source and destination as the daemon sees them
	want = slices.Concat(want[4:8], want[:4], want[10:12], want[8:10])
	if n, ok := auth.Notify(peer.NoNATsAllowed); !ok || !bytes.Equal(n.Data, want) {
		t.Errorf("NO_NATS_ALLOWED holds %x (%v), want %x", n.Data, ok, want)
	}
}

func updateOfResponder(t *T) {
	sa, auth := t.greeted()
	sa.answer(auth, append(append(sa.grant(), sa.grantChild(auth)...), movable())...)
	t.counts(1, 1)
	before := sa.way
	sa.way = t.elsewhere()
	m := sa.inform(append(sa.natd(sa.SPIr), peer.NotifyPayload(peer.UpdateSAAddresses))...)
	if errs := m.Errors(); len(errs) > 1 {
		t.Errorf("the answer is %v", m)
	}
	sa.asks(before)
}

func restless(t *T) {
	sa := t.upMobile()
	places := []path{sa.way, t.elsewhere()}
	questions := map[uint32]bool{}
	for n := range 50 {
		sa.way = places[(n+1)%2]
		if m := sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses)); len(m.Errors()) > 0 {
			t.Fatalf("move %d is refused: %v", n, m)
		}
	}
	pause(silence)
	for { // what came beside the answers
		d, ok := t.receive(0, sa.ours)
		if !ok {
			break
		}
		h, _ := peer.Header(d.Bytes)
		if questions[h.ID] = true; h.Response() || len(questions) > 1 {
			t.Fatalf("%v comes beside others: %v", h, questions)
		}
		t.aside = nil
		if len(questions) == 1 && d.Local == sa.way.from.Addr() {
			question, _ := sa.open(d)
			sa.Theirs = question.ID + 1
			sa.answer(question, returned(question))
			break
		}
	}
	for { // it may ask again for the last place
		d, ok := t.receive(silence, sa.ours)
		if !ok {
			break
		}
		if question, _ := sa.open(d); question.ID >= sa.Theirs {
			sa.Theirs = question.ID + 1
			sa.answer(question, returned(question))
		}
	}
	sa.asks(sa.way)
}

func oddMobility(t *T) {
	sa := t.upMobile()
	here := sa.way
	for _, size := range []int{0, 4, 11, 13, 36, 500} {
		data := append(addresses(here), make([]byte, 500)...)[:size]
		t.has(sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses), peer.NotifyPayload(peer.NoNATsAllowed, data...)), peer.UnexpectedNATDetected)
	}
	for _, size := range []int{0, 7, 65, 1000} {
		m := sa.inform(peer.NotifyPayload(peer.Cookie2, peer.Random(size)...))
		if errs := m.Errors(); len(errs) > 1 {
			t.Errorf("COOKIE2 of %d octets is answered by %v", size, m)
		}
	}
	m := sa.inform(peer.Notify{Protocol: peer.ProtoESP, SPI: peer.Random(8), Kind: peer.Cookie2, Data: peer.Random(8)}.Payload())
	if errs := m.Errors(); len(errs) > 1 { // of its form ask asks
		t.Errorf("COOKIE2 with an SPI is answered by %v", m)
	}
	var many []peer.Payload
	for n := range 100 {
		many = append(many, peer.NotifyPayload(peer.AdditionalIP4Address, 10, 99, 250, byte(n)))
	}
	if m := sa.inform(many...); len(m.Errors()) > 1 {
		t.Errorf("a hundred addresses are answered by %v", m)
	}
	sa.asks(here)
}

func triesAgain(t *T) {
	var before []uint64
	for range 3 {
		sa, call := t.called()
		if slices.Contains(before, call.SPIi) { // a repetition
			continue
		}
		before = append(before, call.SPIi)
		sa.accept(call, sa.welcome(call))
		auth := sa.request(peer.IKEAuth)
		sa.answer(auth, peer.NotifyPayload(peer.UnexpectedNATDetected))
	}
	for {
		sa, call := t.called()
		if !slices.Contains(before, call.SPIi) {
			sa.completes(call)
			return
		}
	}
}
