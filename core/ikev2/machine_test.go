package ikev2

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// upWorld returns a world in which a1 and b1 are established.
func upWorld(t *testing.T, options ...string) *player {
	t.Helper()
	p := &player{newWorld(t)}
	p.makeNodes(options)
	p.initiate("a", nil)
	p.run()
	if p.sa("a1").State() != Established || p.sa("b1").State() != Established {
		t.Fatalf("not established:\n%s", strings.Join(p.trace, "\n"))
	}
	return p
}

// A packet that cannot begin an SA costs nothing lasting: the SA made for it ends at once, and only what RFC 7296 wants
// answered is answered.
func TestAResponderThatMeetsGarbageEndsAtOnce(t *testing.T) {
	t.Parallel()
	offer := ikeOffer(policy.DefaultIKE())
	tests := []struct {
		name   string
		packet []byte
		answer wire2.NotifyType
	}{
		{"noise", []byte("noise"), 0},
		{"no payloads", firstRequest()[:28], 0},
		{"no SA payload", firstRequest(), 0},
		{"two SA payloads", firstRequest(offer, offer), 0},
		{"an identity in clear", firstRequest(offer, wire2.IDi{IDType: wire2.IDFQDN, Data: []byte("x")}), 0},
		{"malformed", firstRequest(wire2.Unknown{Number: wire2.TypeDelete, Body: []byte{1}}), 0},
		{"a critical payload, RFC7296-2.5-9", firstRequest(offer, wire2.Unknown{Number: 200, Critical: true}), wire2.UnsupportedCriticalPayload},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{newWorld(t)}
			p.makeNodes(nil)
			b := p.node("b")
			h := b.newSA(false, netip.AddrPortFrom(b.addr, 500), gatePeer)
			p.step(h, machine.Datagram{Local: netip.AddrPortFrom(b.addr, 500), Remote: gatePeer, Bytes: tt.packet})
			if h.State() != Closed {
				t.Errorf("state %v", h.State())
			}
			wantNotify(t, p.flight, tt.answer)
		})
	}
}

// wantNotify checks that one unprotected notify was sent, or nothing.
// Whoever sees the SPIs of an SA can send IKE_SA_INIT messages for it. After the first none of them is due (RFC 7296
// section 1.2), whatever its message ID: nothing changes, and nothing is answered.
func TestMessagesInClearChangeNothingAfterTheFirst(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"a1", "b1", "half-open b1"} {
		p := &player{newWorld(t)}
		p.makeNodes(nil)
		p.initiate("a", nil)
		if label, half := strings.CutPrefix(to, "half-open "); half {
			for p.answerCalls() {
			}
			p.deliver(0)
			p.answerCalls()
			p.clearText(label, HalfOpen)
			continue
		}
		p.run()
		p.clearText(to, Established)
	}
}

// clearText sends an SA unprotected messages of all kinds that could be for it.
func (p *player) clearText(label string, want State) {
	p.t.Helper()
	h, sent := p.sa(label), len(p.flight)
	head := wire.Header{InitiatorSPI: h.spii, Major: 2, Exchange: wire2.IKESAInit}
	if !h.initiator {
		head.Flags = wire.FlagInitiator
	}
	for head.MessageID = range uint32(4) {
		for _, head.ResponderSPI = range []uint64{0, h.spir} {
			for range 2 { // request and response
				head.Flags ^= wire.FlagResponse
				b := wire2.Message{Header: head, Payloads: []wire2.Payload{wire2.Notify{Kind: wire2.InvalidSyntax}}}.Append(nil)
				p.step(h, machine.Datagram{Local: h.local, Remote: h.remote, Bytes: b})
			}
		}
	}
	if h.State() != want || len(p.flight) != sent {
		p.t.Errorf("%s is %v, want %v; %d answers", label, h.State(), want, len(p.flight)-sent)
	}
}

// RFC7296-2.9-2: of several children that overlap, the one with the initiator's first selectors is made.
func TestTheChildWithTheFirstSelectorsIsMade(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes([]string{"a.local-ts=10.1.0.5,10.0.0.0/8", "a.remote-ts=10.3.0.5,10.0.0.0/8"})
	b := p.node("b")
	dmz := *b.conn.Children[0]
	dmz.Name, dmz.LocalTS = "dmz", p.selectors("10.3.0.0/16")
	b.conn.Children = append(b.conn.Children, &dmz)
	p.initiate("a", nil)
	p.run()
	if c := b.backend[0x2001]; c.Name != "dmz" || c.LocalTS[0].Start != netip.MustParseAddr("10.3.0.0") {
		t.Errorf("made %q %v:\n%s", c.Name, c.LocalTS, strings.Join(p.trace, "\n"))
	}
}

// Nothing but a protected message tells an SA anything (RFC7296-2.4-3, RFC7296-2.21.4-4, -8): an unprotected answer to
// the request that is out changes nothing, however bad its news.
func TestUnprotectedAnswersChangeNothing(t *testing.T) {
	t.Parallel()
	news := []wire2.NotifyType{wire2.InvalidIKESPI, wire2.InvalidSyntax, wire2.AuthenticationFailed, wire2.InvalidMajorVersion, wire2.NoProposalChosen}
	for state, exch := range map[State]wire.ExchangeType{AuthSent: wire2.IKEAuth, Established: wire2.Informational} {
		p := &player{newWorld(t)}
		p.makeNodes(nil)
		p.initiate("a", nil)
		for p.sa("a1").State() < AuthSent {
			_ = p.answerCalls() || p.deliverNext()
		}
		if state == Established {
			p.run()
			p.step(p.sa("a1"), machine.Probe{})
		}
		h, sent := p.sa("a1"), len(p.flight)
		head := wire.Header{InitiatorSPI: h.spii, ResponderSPI: h.spir, Major: 2, Exchange: exch, Flags: wire.FlagResponse, MessageID: h.own.out[0].id}
		for _, kind := range news {
			b := wire2.Message{Header: head, Payloads: []wire2.Payload{wire2.Notify{Kind: kind}}}.Append(nil)
			p.step(h, machine.Datagram{Local: h.local, Remote: h.remote, Bytes: b})
			if h.State() != state || len(h.own.out) == 0 || len(p.flight) != sent {
				t.Errorf("%v in state %v: now %v", kind, state, h.State())
			}
		}
	}
}

// What a later version may send does no harm: other minor versions and flags (RFC7296-2.5-1, RFC7296-3.1-7, -8, -11),
// unknown payloads, vendors and status notifies (RFC7296-2.5-8, RFC7296-3.12-2, RFC7296-3.10.1-2), a protocol in a notify
// without an SPI (RFC7296-3.10-2), critical bits where we know the payload (RFC7296-3.2-2), and an unusual order
// (RFC7296-1.7-2).
func TestAStrangeButLegalFirstRequestIsServed(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	b := p.node("b")
	offer := ikeOffer(b.conn.IKE)
	request := firstRequest(wire2.VendorID{Data: []byte("x")}, wire2.Unknown{Number: 200, Body: []byte("?")}, wire2.VendorID{},
		wire2.Notify{Kind: 40000, Protocol: wire2.ProtoIKE, Data: []byte("later")}, wire2.Notify{Kind: wire2.NoProposalChosen}, offer)
	request[17], request[19] = 0x25, request[19]|0xd7 // all but the response flag
	request[wire.HeaderLen+1] = 0xff                  // critical and reserved bits of the first vendor ID
	h := b.newSA(false, netip.AddrPortFrom(b.addr, 500), gatePeer)
	p.step(h, machine.Datagram{Local: netip.AddrPortFrom(b.addr, 500), Remote: gatePeer, Bytes: request})
	p.answerCalls()
	if h.State() != HalfOpen {
		t.Errorf("it is %v:\n%s", h.State(), strings.Join(p.trace, "\n"))
	}
}

func wantNotify(t *testing.T, sent []datagram, want wire2.NotifyType) {
	t.Helper()
	if want == 0 {
		if len(sent) != 0 {
			t.Errorf("%d packets were sent", len(sent))
		}
		return
	}
	if len(sent) != 1 {
		t.Fatalf("%d packets were sent", len(sent))
	}
	m, err := wire2.Parse(sent[0].Bytes)
	if _, ok := wire2.GetNotify(m.Payloads, want); err != nil || !ok || m.Header.ResponderSPI != 0 {
		t.Errorf("sent %+v, %v", m, err)
	}
}

// RFC7296-2.6-4: the cookie comes first, and nothing else changes; not even the random hash that forces encapsulation.
func TestACookieIsAllThatChangesInARepeatedRequest(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes([]string{"a.encap=yes"})
	p.initiate("a", nil)
	p.answerCalls()
	p.forge(p.sa("a1"), []string{"COOKIE", "c0ffee"})
	first, err1 := wire2.Parse(p.flight[0].Bytes)
	second, err2 := wire2.Parse(p.flight[1].Bytes)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if n, ok := second.Payloads[0].(wire2.Notify); !ok || n.Kind != wire2.Cookie || !bytes.Equal(n.Data, []byte{0xc0, 0xff, 0xee}) {
		t.Errorf("the first payload is %+v", second.Payloads[0])
	}
	got, want := wire2.AppendPayloads(nil, second.Payloads[1:]), wire2.AppendPayloads(nil, first.Payloads)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x, want\n%x", got, want)
	}
}

// RFC7296-2.12-1: what keys could be computed from is forgotten.
func TestSecretsAreWipedWhenTheyAreNotNeededAnyMore(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	for _, label := range []string{"a1", "b1"} {
		k := p.sa(label).keys
		for name, key := range map[string]secret.Bytes{"SK_pi": k.PI, "SK_pr": k.PR, "SK_ei": k.EI, "SK_er": k.ER} {
			if len(key) == 0 || !zero(key) {
				t.Errorf("%s of %s is not wiped", name, label)
			}
		}
		if zero(k.D) {
			t.Errorf("SK_d of %s is wiped too early", label)
		}
	}
	d, child := p.sa("a1").keys.D, p.sa("a1").children[0].sa
	p.step(p.sa("a1"), machine.Terminate{})
	p.run()
	if !zero(d) || !zero(child.EncrIn) || !zero(child.EncrOut) {
		t.Error("keys survive the SA")
	}
	for _, r := range p.node("a").held {
		t.Errorf("held call %v", r)
	}
}

// The secrets of replies are taken over and wiped, late ones too.
func TestSecretsOfRepliesAreWiped(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	a := p.node("a")
	a.hold["KEInitiate"], a.hold["KEFinish"] = true, true
	p.initiate("a", nil)
	private := secret.Bytes("a private value of many octets")
	p.step(p.sa("a1"), machine.Reply{Ticket: 1, Result: machine.KEInitiated{State: private, Public: a.value()}})
	p.run()
	agreed := secret.Bytes("a shared secret of many octets")
	if zero(private) {
		t.Fatal("the private value is wiped before its use")
	}
	p.step(p.sa("a1"), machine.Reply{Ticket: 3, Result: machine.KEFinished{Secret: agreed}})
	late := secret.Bytes("late")
	p.step(p.sa("a1"), machine.Reply{Ticket: 3, Result: machine.KEFinished{Secret: late}})
	if !zero(private) || !zero(agreed) || !zero(late) {
		t.Errorf("left over: private %v, shared %v, late %v", !zero(private), !zero(agreed), !zero(late))
	}
}

func zero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// Ops carry copies: wiping ours does not touch what a plugin host still reads.
func TestOpsOwnTheirSecrets(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	before := p.node("a").backend[0x1001].Clone()
	listed := p.sa("a1").Installed()
	p.step(p.sa("a1"), machine.Terminate{})
	p.run()
	if len(listed) != 1 || !listed[0].EncrIn.Equal(before.EncrIn) || zero(listed[0].EncrIn) {
		t.Error("a listed child lost its keys with the SA")
	}
	if got := p.sa("a1").Installed(); len(got) != 0 {
		t.Errorf("a closed SA lists %d children", len(got))
	}
}

// What is being removed is not listed for reconciliation, which would install it again.
func TestAChildUnderRemovalIsNotListed(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	p.node("a").hold["RemoveChild"] = true
	p.step(p.sa("b1"), machine.Terminate{Child: "lan"})
	p.run()
	if got := p.sa("a1").Installed(); len(got) != 0 || len(p.sa("a1").children) != 1 {
		t.Errorf("%d children are listed, %d held", len(got), len(p.sa("a1").children))
	}
}

// The same for the private value of a key exchange.
func TestACancelledCallKeepsItsSecret(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.node("a").hold["KEFinish"] = true
	p.initiate("a", nil)
	p.run()
	op := p.node("a").held[0].call.Op.(machine.KEFinish)
	p.step(p.sa("a1"), machine.Terminate{})
	if zero(op.State) {
		t.Error("a plugin host reads a secret that the machine has wiped")
	}
}

// RFC7296-2.23-3: a peer that stays on port 500 gets plain ESP, even through a NAT.
func TestESPIsNotEncapsulatedOnPort500(t *testing.T) {
	t.Parallel()
	for port, want := range map[uint16]bool{500: false, 4500: true} {
		s := &SA{nat: nat{remote: true}, conn: &policy.Connection{}, local: netip.AddrPortFrom(gatePeer.Addr(), port)}
		if got := s.encapsulates(); got != want {
			t.Errorf("port %d: %v", port, got)
		}
	}
}

func TestInfoDescribesTheSA(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	info := p.sa("a1").Info()
	if info.Conn != "to-west.example" || info.State != "established" || len(info.Children) != 1 || info.Established != epoch ||
		info.IKE.Role != "initiator" || info.IKE.LocalID != "fqdn:east.example" || info.Children[0].Name != "lan" {
		t.Errorf("%+v", info)
	}
	if u := info.UID; u[6]>>4 != 7 || u[8]>>6 != 2 || u == p.sa("b1").Info().UID {
		t.Errorf("UID %v is no UUIDv7 of its own (RFC 9562 section 5.7)", u)
	}
}

// RFC7296-2.2-2 for the peer's IDs: after the last one the SA ends, and no old request is taken for a new one.
func TestAPeerThatRunsOutOfMessageIDsLosesTheSA(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	p.meddled = true
	p.sa("a1").own.next, p.sa("b1").peer.next = maxMessageID, maxMessageID
	p.seal(p.sa("a1"), []string{"INFORMATIONAL", "4294967295", "request"})
	if got := p.sa("b1").State(); got != Deleting {
		t.Fatalf("state %v", got)
	}
	p.trace = nil
	p.seal(p.sa("a1"), []string{"INFORMATIONAL", "0", "request"})
	if len(p.trace) != 1 { // the line that tells of the forgery
		t.Errorf("a request behind the last was served: %v", p.trace)
	}
}

// Of several connections between two addresses the peer's identity decides, among those that permit the suite.
func TestTheConnectionIsChosenByIdentityAndSuite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, id string
		want     event.Cause // "" for success
		conn     string
	}{
		{"the first", "east.example", "", "to-east.example"},
		{"the second", "north.example", "", "north"},
		{"not with this suite", "south.example", event.CauseUnknownIdentity, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{newWorld(t)}
			p.makeNodes([]string{"a.local-id=" + tt.id})
			b := p.node("b")
			north, south := *b.conn, *b.conn
			north.Name, north.Remote.Identity = "north", p.identity("north.example")
			south.Name, south.Remote.Identity = "south", p.identity("south.example")
			south.IKE = p.proposals(policy.ScopeIKE, "aes256-sha512-modp4096")
			b.env = &Env{Policy: &policy.Snapshot{Connections: []*policy.Connection{b.conn, &north, &south}}}
			p.initiate("a", nil)
			p.run()
			trace := strings.Join(p.trace, "\n")
			if tt.want != "" {
				if !strings.Contains(trace, `cause="`+string(tt.want)+`"`) || p.sa("b1").State() != Closing {
					t.Errorf("no %s:\n%s", tt.want, trace)
				}
				return
			}
			if got := p.sa("b1").Info(); got.State != "established" || got.Conn != tt.conn {
				t.Errorf("%s %s:\n%s", got.State, got.Conn, trace)
			}
			if strings.Contains(trace, "b1 event ike_sa.initiated [to") {
				t.Error("the responder named a connection before it could know")
			}
		})
	}
}

func TestRowsAreMatchedBeforeHandlers(t *testing.T) {
	t.Parallel()
	sa, ke, ni := wire2.SA{}, wire2.KE{}, wire2.Nonce{}
	unknown := wire2.Unknown{Number: 200}
	n := wire2.Notify{}
	message := func(ps ...wire2.Payload) wire2.Message {
		return wire2.Message{Header: wire.Header{Exchange: wire2.IKESAInit}, Payloads: ps}
	}
	tests := []struct {
		name  string
		state State
		m     wire2.Message
		want  bool
	}{
		{"complete", Idle, message(sa, ke, ni), true},
		{"any order, RFC7296-2.5-13", Idle, message(n, ni, ke, n, sa), true},
		{"unknown payloads, RFC7296-2.5-8", Idle, message(unknown, sa, ke, ni, unknown), true},
		{"one is missing", Idle, message(sa, ni), false},
		{"one is there twice", Idle, message(sa, ke, ke, ni), false},
		{"one that does not belong", Idle, message(sa, ke, ni, wire2.TSi{}), false},
		{"another state", HalfOpen, message(sa, ke, ni), false},
	}
	for _, tt := range tests {
		if got := requests.match(tt.state, tt.m) != nil; got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestEachPayloadTypeHasABit(t *testing.T) {
	t.Parallel()
	want := map[wire.PayloadType]payloads{wire2.TypeSA: pSA, wire2.TypeKE: pKE, wire2.TypeIDi: pIDi, wire2.TypeIDr: pIDr,
		wire2.TypeCert: pCert, wire2.TypeCertReq: pCertReq, wire2.TypeAuth: pAuth, wire2.TypeNonce: pNonce, wire2.TypeNotify: pNotify,
		wire2.TypeDelete: pDelete, wire2.TypeVendorID: pVendorID, wire2.TypeTSi: pTSi, wire2.TypeTSr: pTSr, wire2.TypeSK: pSK,
		wire2.TypeCP: pCP, wire2.TypeEAP: pEAP, wire2.TypeSKF: pSKF, 0: 0, 32: 0, 49: 0, 200: 0}
	for typ, bit := range want {
		if got := payloadBit(typ); got != bit {
			t.Errorf("type %d: %b, want %b", typ, got, bit)
		}
	}
}

// A driver that answers with the wrong kind of result is a plugin failure, not a panic.
func TestAWrongResultIsAFailure(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.node("a").hold["KEInitiate"] = true
	p.initiate("a", nil)
	p.step(p.sa("a1"), machine.Reply{Ticket: 1, Result: machine.Installed{}})
	if got := p.sa("a1").State(); got < Closing {
		t.Errorf("state %v", got)
	}
	if trace := strings.Join(p.trace, "\n"); !strings.Contains(trace, "machine.KEInitiate was answered with machine.Installed") {
		t.Error(trace)
	}
}

// Messages that are not authentic are told of once a minute, with their number.
func TestForgeriesAreCountedNotRepeated(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	p.step(p.sa("a1"), machine.Probe{})
	p.tamper(0)
	p.trace = nil
	for range 5 {
		p.arrive(p.flight[0])
	}
	p.now = p.now.Add(2 * time.Minute)
	p.arrive(p.flight[0])
	want := []string{
		`b1 event protocol.decrypt_failed [to-east.example] count=1 remote="192.0.2.1:500"`,
		`b1 event protocol.decrypt_failed [to-east.example] count=5 remote="192.0.2.1:500"`,
	}
	if got := strings.Join(p.trace, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for s := Idle; s <= Closed; s++ {
		if seen[s.String()] || s.String() == "" || s.String() == "unknown" {
			t.Errorf("state %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if got := State(99).String(); got != "unknown" {
		t.Error(got)
	}
}
