package protocol

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

var (
	leasing  = Settings{Pool: true}
	strictly = Settings{PoolMust: true}
	asking   = Settings{AskAddress: true}
)

// The Configuration payload (RFC 7296 sections 2.19, 2.20, 3.15).
var cpCases = []Case{
	{IDs: ids("RFC7296-4-7", "RFC7296-4-8", "RFC7296-2.19-2", "RFC7296-3.15-1", "RFC7296-3.15.1-1", "RFC7296-3.15.1-2"),
		Title: "Who asks for an IPv4 address gets one of the pool in a CFG_REPLY before SA, and selectors of that address.", Run: leases, Settings: leasing},
	{IDs: ids("RFC7296-3.15-1", "RFC7296-3.15.1-1", "RFC7296-3.15.1-5", "RFC7296-1.7-1"),
		Title: "Unknown attributes, the old type 5, and reserved bits in a CFG_REQUEST are ignored.", Run: leaseNoise, Settings: leasing},
	{IDs: ids("RFC7296-3.15.1-5", "RFC7296-4-8"), Title: "A CFG_REQUEST with wishes, for that address or for one that is not to be had, gets an address of the pool.", Run: leaseWishes, Settings: leasing},
	{IDs: ids("RFC7296-2.19-5"), Title: "Who sends no CFG_REQUEST gets no CFG_REPLY, whatever else becomes of the child.", Run: leaseUnasked, Settings: leasing},
	{IDs: ids("RFC7296-2.19-6"), Title: "Where an address must be asked for, an IKE_AUTH without a CFG_REQUEST gets FAILED_CP_REQUIRED, and the IKE SA lives.", Run: leaseRequired, Settings: strictly},
	{IDs: ids("RFC7296-2.19-6", "RFC7296-2.19-2"), Title: "Nor is there a child without a CFG_REQUEST in a CREATE_CHILD_SA later; with one there is, and an address.", Run: leaseRequiredLater, Settings: strictly},
	{IDs: ids("RFC7296-3.15.1-6", "RFC7296-3.15.1-7", "RFC7296-3.15.1-8"), Title: "A CFG_SET gets an empty CFG_ACK, or none: nothing of it is accepted.", Run: configSet},
	{IDs: ids("RFC7296-2.20-1", "RFC7296-3.15.1-5"), Title: "APPLICATION_VERSION is answered by no CP, or by an empty or short string.", Run: applicationVersion},
	{IDs: ids("RFC7296-3.10.1-3", "RFC7296-2.21.3-1"), Title: "A CP payload whose attributes do not fit is refused with INVALID_SYNTAX.", Run: malformedCP},
	{IDs: ids("RFC7296-2.19-1", "RFC7296-2.19-2", "RFC7296-2.19-3", "RFC7296-2.19-4", "RFC7296-4-6", "RFC7296-3.15.1-2", "RFC7296-3.15.1-3", "RFC7296-3.15.1-4"),
		Title: "A daemon that wants an address asks for it in IKE_AUTH, before SA, with nothing in attributes that take no value.", Run: asks, Settings: asking},
	{IDs: ids("RFC7296-3.15.1-5", "RFC7296-3.15-1", "RFC7296-3.15.1-1"), Title: "Unknown attributes and reserved bits in a CFG_REPLY are ignored.", Run: replyNoise, Settings: asking},
	{IDs: ids("RFC7296-3.15.1-5", "RFC7296-2.19-2"), Title: "Who asks for an address two hundred times in one request gets a few at most, and a Delete gives them back.", Run: leaseGreed, Settings: leasing},
	{IDs: ids("RFC7296-3.10.1-3", "RFC7296-2.21.2-2", "RFC7296-3.15.1-5"), Title: "Address attributes of wrong lengths, sixty kilobytes of attributes, CFG types that nobody knows and two CP payloads are refused or ignored.", Run: leaseAbuse, Settings: leasing},
	{IDs: ids("RFC7296-2.19-5", "RFC7296-3.15.1-5"), Title: "A CFG_REPLY that nobody asked for is ignored: in IKE_AUTH, in INFORMATIONAL, and in a request.", Run: replyUnasked},
	{IDs: ids("RFC7296-3.15.1-5", "RFC7296-3.15.1-1"), Title: "A CFG_REPLY with addresses that no host has, of wrong lengths, or with five hundred of them, gives the daemon one good address, or no child.", Run: replyAbuse, Settings: asking},
	{IDs: ids("RFC7296-2.21.2-3"), Title: "INTERNAL_ADDRESS_FAILURE costs the child; the IKE SA is there, and ends, if at all, by a Delete.", Run: addressFailure, Settings: asking},
}

// cpRequest asks for an IPv4 address and DNS.
func cpRequest(more ...peer.Attribute) peer.Payload {
	return peer.CPPayload(peer.CFGRequest, append([]peer.Attribute{{Type: peer.InternalIP4Address}, {Type: peer.InternalIP4DNS}}, more...)...)
}

// leased asks for a child with a CP payload and returns the address that we get.
func (t *T) leased(cp peer.Payload) (*SA, netip.Addr) {
	sa := t.begin()
	child := sa.child()
	child[1] = peer.TSPayload(peer.TypeTSi, peer.Net("0.0.0.0/0"))
	m := sa.ask(sa.Request(peer.IKEAuth, slices.Concat(sa.proofs(), []peer.Payload{cp}, child)...))
	sa.proven(m)
	t.kinds(m, peer.TypeIDr, peer.TypeAuth, peer.TypeCP, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
	sa.takeChild(m)
	return sa, t.address(m)
}

// address returns the one that a response gives us with a child.
func (t *T) address(m peer.Message) netip.Addr {
	kind, attrs, err := peer.ParseCP(m.Body(peer.TypeCP))
	t.must(err)
	var got []netip.Addr
	masks := 0
	for _, a := range attrs {
		addr, _ := netip.AddrFromSlice(a.Value)
		switch a.Type {
		case peer.InternalIP4Address:
			got = append(got, addr)
		case peer.InternalIP4Netmask:
			masks++
		case peer.InternalIP4DNS:
			if addr.String() != PoolDNS {
				t.Errorf("the DNS server is %v", addr)
			}
		}
	}
	if kind != peer.CFGReply || len(got) != 1 || !netip.MustParsePrefix(PoolNet).Contains(got[0]) || masks > 1 {
		t.Fatalf("CP of kind %d with %+v", kind, attrs)
	}
	want := []peer.Selector{peer.Net(got[0].String() + "/32")}
	if tsi := must(peer.ParseTS(m.Body(peer.TypeTSi))); !slices.Equal(tsi, want) {
		t.Errorf("TSi is %v, want %v", tsi, want)
	}
	return got[0]
}

func leases(t *T) {
	t.leased(cpRequest())
	t.counts(1, 1)
}

func leaseNoise(t *T) {
	cp := cpRequest(peer.Attribute{Type: 5, Value: []byte{0, 0, 1, 0}}, peer.Attribute{Type: 0x7ffe, Value: []byte("?")}, peer.Attribute{Type: 30000},
		peer.Attribute{Type: peer.SupportedAttributes}, peer.Attribute{Type: 0x8000 | peer.InternalIP4Subnet})
	cp.Body[1], cp.Body[2], cp.Body[3] = 0xff, 0xff, 0xff
	t.leased(cp)
}

func leaseWishes(t *T) {
	for _, wish := range []string{"10.3.77.77", "192.0.2.200"} {
		a := netip.MustParseAddr(wish).As4()
		sa, _ := t.leased(peer.CPPayload(peer.CFGRequest, peer.Attribute{Type: peer.InternalIP4Address, Value: a[:]}))
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func leaseUnasked(t *T) {
	sa := t.begin()
	m := sa.ask(sa.claim())
	sa.proven(m)
	if cp := m.Body(peer.TypeCP); cp != nil {
		t.Errorf("CP comes unasked: %v", m)
	}
	sa.inform()
}

func leaseRequired(t *T) {
	sa := t.begin()
	sa.childless(sa.child(), peer.FailedCPRequired)
	t.leased(cpRequest())
}

func leaseRequiredLater(t *T) {
	sa := t.begin()
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), sa.child()...)...))
	sa.proven(m)
	t.has(m, peer.FailedCPRequired)
	t.only(sa.ask(sa.Request(peer.CreateChildSA, sa.offers(0).payloads()...)), peer.FailedCPRequired)
	t.counts(1, 0)
	ps := append([]peer.Payload{cpRequest()}, sa.offers(0).payloads()...) // RFC 7296 appendix C.4: CP, SA, Ni, TSi, TSr
	ps[3] = peer.TSPayload(peer.TypeTSi, peer.Net("0.0.0.0/0"))
	m = sa.ask(sa.Request(peer.CreateChildSA, ps...))
	t.kinds(m, peer.TypeCP, peer.TypeSA, peer.TypeNonce, peer.TypeTSi, peer.TypeTSr)
	t.address(m)
	t.counts(1, 1)
}

func configSet(t *T) {
	sa := t.up()
	m := sa.inform(peer.CPPayload(peer.CFGSet, peer.Attribute{Type: peer.ApplicationVersion, Value: []byte("x")}, peer.Attribute{Type: peer.InternalIP4DNS, Value: []byte{1, 2, 3, 4}}))
	if len(m.Errors()) > 0 {
		t.Errorf("the answer is %v", m)
	}
	if cp := m.Body(peer.TypeCP); cp != nil {
		if kind, attrs, err := peer.ParseCP(cp); err != nil || kind != peer.CFGAck || len(attrs) > 0 {
			t.Errorf("the answer is of kind %d with %+v: %v", kind, attrs, err)
		}
	}
}

func applicationVersion(t *T) {
	sa := t.up()
	m := sa.inform(peer.CPPayload(peer.CFGRequest, peer.Attribute{Type: peer.ApplicationVersion}, peer.Attribute{Type: 30001}))
	if len(m.Errors()) != 0 {
		t.Errorf("the answer is %v", m)
	}
	body := m.Body(peer.TypeCP)
	if body == nil {
		return
	}
	kind, attrs, err := peer.ParseCP(body)
	t.must(err)
	if kind != peer.CFGReply || slices.ContainsFunc(attrs, func(a peer.Attribute) bool { return a.Type != peer.ApplicationVersion }) {
		t.Errorf("the answer is of kind %d with %+v", kind, attrs)
	}
}

func malformedCP(t *T) {
	for _, body := range [][]byte{{peer.CFGRequest, 0, 0}, {peer.CFGRequest, 0, 0, 0, 0, 1, 0}, {peer.CFGRequest, 0, 0, 0, 0, 7, 0, 9, 1}} {
		sa := t.up()
		t.only(sa.inform(peer.Payload{Type: peer.TypeCP, Body: body}), peer.InvalidSyntax)
		t.daemonForgets(sa)
	}
}

// wantsAddress returns the daemon's IKE_AUTH request, in which it asks for an address.
func (t *T) wantsAddress() (*SA, peer.Message) {
	sa, auth := t.greeted()
	t.kinds(auth, peer.TypeIDi, peer.TypeIDr, peer.TypeAuth, peer.TypeCP, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
	return sa, auth
}

func asks(t *T) {
	sa, auth := t.wantsAddress()
	kind, attrs, err := peer.ParseCP(auth.Body(peer.TypeCP))
	t.must(err)
	addresses, masks := 0, 0
	for _, a := range attrs {
		switch a.Type {
		case peer.InternalIP4Address, peer.InternalIP6Address:
			addresses++
		case peer.InternalIP4Netmask:
			masks++
		default:
			if len(a.Value) > 0 && (a.Type == peer.InternalIP4Subnet || a.Type == peer.SupportedAttributes || a.Type == 15) {
				t.Errorf("attribute %d has the value %x", a.Type, a.Value)
			}
		}
	}
	if kind != peer.CFGRequest || addresses == 0 || masks > 1 {
		t.Errorf("CP of kind %d with %+v", kind, attrs)
	}
	sa.gives(auth, peer.CPPayload(peer.CFGReply, peer.Attribute{Type: peer.InternalIP4Address, Value: []byte{10, 77, 0, 9}}))
	t.counts(1, 1)
}

// gives answers IKE_AUTH with a CP payload and selectors of the address 10.77.0.9.
func (sa *SA) gives(auth peer.Message, cp peer.Payload) {
	child := sa.grantChild(auth)
	child[1] = peer.TSPayload(peer.TypeTSi, peer.Net("10.77.0.9/32"))
	sa.answer(auth, slices.Concat(sa.grant(), []peer.Payload{cp}, child)...)
}

func replyNoise(t *T) {
	sa, auth := t.wantsAddress()
	cp := peer.CPPayload(peer.CFGReply, peer.Attribute{Type: 5, Value: []byte{0, 0, 1, 0}}, peer.Attribute{Type: 0x8000 | peer.InternalIP4Address, Value: []byte{10, 77, 0, 9}},
		peer.Attribute{Type: 30002, Value: []byte("?")}, peer.Attribute{Type: peer.InternalIP4DNS, Value: []byte{10, 77, 0, 1}})
	cp.Body[1], cp.Body[3] = 0xff, 0xff
	sa.gives(auth, cp)
	t.counts(1, 1)
}

func addressFailure(t *T) {
	sa, auth := t.wantsAddress()
	sa.answer(auth, append(sa.grant(), peer.NotifyPayload(peer.InternalAddressFailure))...)
	d, asked := t.receive(silence, sa.ours)
	if !asked {
		t.counts(1, 0)
		sa.inform()
		return
	}
	// A daemon that has no use for an IKE SA without an address deletes it, in order, and says nothing against our proof.
	m, _ := sa.open(d)
	if _, deletes := m.Deletes(peer.ProtoIKE); !deletes || len(m.Errors()) > 0 {
		t.Errorf("want a Delete of the IKE SA, if anything: %v", m)
	}
	sa.answer(m)
	t.counts(0, 0)
}

func leaseGreed(t *T) {
	greedy := []peer.Attribute{}
	for range 200 {
		greedy = append(greedy, peer.Attribute{Type: peer.InternalIP4Address})
	}
	for range 3 { // the pool would not last
		sa := t.begin()
		child := sa.child()
		child[1] = peer.TSPayload(peer.TypeTSi, peer.Net("0.0.0.0/0"))
		m := sa.ask(sa.Request(peer.IKEAuth, slices.Concat(sa.proofs(), []peer.Payload{peer.CPPayload(peer.CFGRequest, greedy...)}, child)...))
		sa.proven(m)
		_, attrs, err := peer.ParseCP(m.Body(peer.TypeCP))
		t.must(err)
		const most = 16 // nobody needs more
		if n := len(attrs); n > most {
			t.Errorf("%d attributes answer", n)
		}
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
	t.leased(cpRequest())
}

// oddCPs are Configuration payloads that a right peer does not send, and whether what they hold is malformed for sure.
func oddCPs() (list []peer.Payload) {
	for _, size := range []int{1, 3, 5, 16, 1000} {
		list = append(list, peer.CPPayload(peer.CFGRequest, peer.Attribute{Type: peer.InternalIP4Address, Value: peer.Random(size)}))
	}
	for _, size := range []int{4, 16, 18, 400} {
		list = append(list, peer.CPPayload(peer.CFGRequest, peer.Attribute{Type: peer.InternalIP6Address, Value: peer.Random(size)}))
	}
	for _, kind := range []uint8{0, peer.CFGReply, peer.CFGSet, peer.CFGAck, 5, 255} {
		list = append(list, peer.CPPayload(kind, peer.Attribute{Type: peer.InternalIP4Address, Value: []byte{10, 3, 0, 9}}))
	}
	return append(list, peer.CPPayload(peer.CFGRequest, peer.Attribute{Type: 30000, Value: peer.Random(60000)}),
		peer.CPPayload(peer.CFGRequest, slices.Repeat([]peer.Attribute{{Type: peer.SupportedAttributes}}, 10000)...))
}

func leaseAbuse(t *T) {
	for _, cp := range oddCPs() {
		sa := t.begin()
		m := sa.Request(peer.IKEAuth, slices.Concat(sa.proofs(), []peer.Payload{cp}, sa.child())...)
		answer := sa.ask(m)
		if errs := answer.Errors(); len(errs) > 1 {
			t.Errorf("a CP of kind %d and %d octets is answered by %v", cp.Body[0], len(cp.Body), answer)
		}
		t.daemonForgets(sa)
	}
	sa := t.begin()
	answer := sa.ask(sa.Request(peer.IKEAuth, slices.Concat(sa.proofs(), []peer.Payload{cpRequest(), cpRequest()}, sa.child())...))
	if errs := answer.Errors(); len(errs) > 1 {
		t.Errorf("two CP payloads are answered by %v", answer)
	}
	t.daemonForgets(sa)
	t.leased(cpRequest())
}

func replyUnasked(t *T) {
	reply := peer.CPPayload(peer.CFGReply, peer.Attribute{Type: peer.InternalIP4Address, Value: []byte{10, 77, 0, 9}}, peer.Attribute{Type: peer.InternalIP4DNS, Value: []byte{10, 77, 0, 1}})
	sa, auth := t.greeted()
	if _, asks := auth.First(peer.TypeCP); asks {
		t.Fatalf("a daemon that wants no address asks for one: %v", auth)
	}
	sa.answer(auth, slices.Concat(sa.grant(), []peer.Payload{reply}, sa.grantChild(auth))...)
	t.counts(1, 1)
	for _, kind := range []uint8{peer.CFGReply, peer.CFGAck} {
		reply.Body[0] = kind
		if m := sa.inform(reply); len(m.Payloads) != 0 {
			t.Errorf("a CP of kind %d in a request is answered by %v", kind, m)
		}
	}
	sa.alive()
	t.counts(1, 1)
}

// consents answers what the daemon asks, until it asks nothing more.
func (sa *SA) consents() {
	for {
		d, ok := sa.t.receive(silence, sa.ours)
		if !ok {
			return
		}
		if m, _ := sa.open(d); !m.Response() {
			sa.Theirs = m.ID + 1
			sa.answer(m)
		}
	}
}

func replyAbuse(t *T) {
	address := func(value ...byte) peer.Attribute {
		return peer.Attribute{Type: peer.InternalIP4Address, Value: value}
	}
	good := address(10, 77, 0, 9)
	for i, list := range [][]peer.Attribute{{address(224, 0, 0, 1), good}, {address(0, 0, 0, 0), address(127, 0, 0, 1), good}, slices.Repeat([]peer.Attribute{good}, 500),
		{good, {Type: 25, Value: []byte("x\nnameserver 192.0.2.66")}, {Type: peer.InternalIP4DNS, Value: []byte{1}}}, {address(10, 77, 0), good}, {}} {
		sa, auth := t.wantsAddress()
		sa.gives(auth, peer.CPPayload(peer.CFGReply, list...))
		if i == 2 || i == 3 { // its address is good, and there
			t.counts(1, 1)
		}
		sa.consents()
		t.daemonForgets(sa)
	}
}
