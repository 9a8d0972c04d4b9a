package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// boldly begins IKEv1 by aggressive mode, and takes it.
var boldly = Settings{IKEv1: "aggressive"}

// Aggressive mode with pre-shared keys (RFC 2409 section 5).
var v1AggressiveCases = []Case{
	{IDs: ids("RFC2409-5-2", "RFC2408-4.7-1", "RFC2409-7.1-1", "RFC2407-4.6.3-2", "RFC2409-5-12"), Title: "Aggressive mode and quick mode, six messages, make an ISAKMP SA and a child.", Run: sixMessages, Settings: boldly},
	{IDs: ids("RFC2409-5-2", "RFC2408-4.7-1", "RFC2407-4.6.3-2", "RFC2409-5-10", "RFC2409-5-6"),
		Title: "Called by the daemon in aggressive mode, all transforms have one group, and none of its messages a status notify.", Run: sixMessagesOfDaemon, Settings: boldly},
	{IDs: ids("RFC2407-4.6.3-1", "RFC2407-4.6.3.3-2"), Title: "After aggressive mode INITIAL-CONTACT comes in an informational exchange.", Run: contactAfterAggressive, Settings: boldly},
	{IDs: ids("RFC2408-1.5.3-1", "RFC2408-5.11-2"), Title: "A wrong HASH_I makes no SA in aggressive mode, encrypted or in clear.", Run: wrongHashAggressive, Settings: boldly},
	{IDs: ids("RFC2408-1.5.3-1", "RFC2409-5-13", "RFC2407-4.6.2-3"), Title: "A responder of aggressive mode that proves itself wrongly, is somebody else or changes the offer is not believed.", Run: wrongResponderAggressive, Settings: boldly},
	{IDs: ids("RFC2407-4.2.1-2", "RFC2407-4.6.2-3", "RFC2407-4.6.2-1"), Title: "Aggressive mode with no identity, a strange one or one for another port makes no SA.", Run: noIDAggressive, Settings: boldly},
	{IDs: ids("RFC2409-5-2"), Title: "Where it is not permitted, aggressive mode with a pre-shared key is not answered: no hash of the key gets out.", Run: aggressiveNotPermitted},
	{IDs: ids("RFC3947-4-1", "RFC3947-3.1-1", "RFC3947-4-5"), Title: "When a NAT is found, aggressive mode goes on over port 4500 with its third message, in both roles.", Run: floatsAggressive, Settings: boldly},
}

// declare is our first message of aggressive mode.
func (sa *ISAKMP) declare() peer.Message {
	ps := []peer.Payload{peer1.SAPayload(sa.ours), {Type: peer1.TypeKE, Body: sa.half.Public}, {Type: peer1.TypeNonce, Body: sa.Ni}, sa.id.Payload(), peer1.NATVendor(), peer1.DPDVendor()}
	return sa.message(peer1.Aggressive, 0, ps...)
}

// declared takes the daemon's second message.
func (sa *ISAKMP) declared(m peer.Message) {
	sa.t.kinds1(m, peer1.TypeSA, peer1.TypeKE, peer1.TypeNonce, peer1.TypeID, peer1.TypeHash)
	sa.chosen(m)
	sa.keyed(m)
	sa.proven(m)
	sa.t.noStatus(m)
}

// noStatus demands that there is no status notify.
func (t *T) noStatus(m peer.Message) {
	for _, body := range peer1.All(m.Payloads, peer1.TypeNotify) {
		if n, err := peer1.ParseNotify(body); err == nil && n.Kind >= peer1.Connected {
			t.Errorf("a status notify in aggressive mode: %s", peer1.Describe(m))
		}
	}
}

// confirmation is our third message.
func (sa *ISAKMP) confirmation() peer.Message {
	return sa.message(peer1.Aggressive, 0, append(sa.identity()[1:], sa.natd()...)...)
}

// bold makes an ISAKMP SA by aggressive mode.
func (t *T) bold() *ISAKMP {
	sa := t.newISAKMP(usual1)
	sa.declared(sa.bid(sa.declare()))
	sa.push(sa.confirmation())
	return sa
}

func sixMessages(t *T) {
	sa := t.bold()
	sa.child()
	t.counts(1, 1)
	sa.alive()
}

// retort is our second message.
func (sa *ISAKMP) retort(m peer.Message) peer.Message {
	offer, err := peer1.ParseSA(sa.SAi)
	sa.t.must(err)
	group, _ := offer[0].Transforms[0].Value(peer1.Group)
	sa.Suite.Group = uint16(group)
	sa.half = peer.NewExchange(sa.Suite.Group)
	sa.GR = sa.half.Public
	sa.keyed(m)
	ps := append([]peer.Payload{peer1.SAPayload(sa.choose()), {Type: peer1.TypeKE, Body: sa.half.Public}, {Type: peer1.TypeNonce, Body: sa.Nr}}, sa.identity()...)
	return sa.message(peer1.Aggressive, 0, append(append(ps, sa.natd()...), peer1.NATVendor(), peer1.DPDVendor())...)
}

// summoned orders the daemon to call by aggressive mode, and answers it.
func (t *T) summoned() (*ISAKMP, peer.Message) {
	t.order(Up)
	sa, m := t.called1()
	t.kinds1(m, peer1.TypeSA, peer1.TypeKE, peer1.TypeNonce, peer1.TypeID)
	t.noStatus(m)
	return sa, sa.retort(m)
}

// confirmed takes the daemon's third message.
func (sa *ISAKMP) confirmed() {
	m := sa.phase1()
	if want := sa.Proof(true, sa.bodyOfDaemon()); len(m.Payloads) == 0 || !slices.Equal(m.Body(peer1.TypeHash), want) {
		sa.t.Fatalf("HASH_I is %x, want %x", m.Body(peer1.TypeHash), want)
	}
	sa.t.noStatus(m)
}

// bodyOfDaemon is the body of the daemon's ID payload, as it has to be.
func (sa *ISAKMP) bodyOfDaemon() []byte {
	return peer1.ID{Kind: peer1.IDFQDN, Data: []byte(DaemonID)}.Payload().Body
}

func sixMessagesOfDaemon(t *T) {
	sa, m := t.summoned()
	offer, err := peer1.ParseSA(sa.SAi)
	t.must(err)
	for _, tr := range offer[0].Transforms {
		if group, _ := tr.Value(peer1.Group); uint16(group) != sa.Suite.Group {
			t.Errorf("transforms for the groups %d and %d", group, sa.Suite.Group)
		}
	}
	t.send(sa.way, m.Encode())
	sa.confirmed()
	q := sa.offered()
	q.answer(q.grant()...)
	q.proved()
	t.counts(1, 1)
}

func contactAfterAggressive(t *T) {
	sa, m := t.summoned()
	t.send(sa.way, m.Encode())
	sa.confirmed()
	sa.contact(sa.told())
}

func wrongHashAggressive(t *T) {
	for _, clear := range []bool{false, true} {
		sa := t.newISAKMP(usual1)
		sa.declared(sa.bid(sa.declare()))
		m := sa.confirmation()
		m.Payloads[0].Body = peer.Random(32)
		if clear {
			t.send(sa.way, m.Encode())
		} else {
			sa.push(m)
		}
		sa.turnedAway()
	}
	t.counts(0, 0)
}

func wrongResponderAggressive(t *T) {
	for _, change := range []func(*ISAKMP, *peer.Message){
		func(_ *ISAKMP, m *peer.Message) { m.Payloads[4].Body = peer.Random(32) },
		func(sa *ISAKMP, m *peer.Message) {
			sa.id.Data = []byte("other.example.net")
			copy(m.Payloads[3:], sa.identity())
		},
		func(sa *ISAKMP, m *peer.Message) {
			sa.id.Protocol, sa.id.Port = 6, 80
			copy(m.Payloads[3:], sa.identity())
		},
		func(sa *ISAKMP, m *peer.Message) {
			p := sa.choose()
			p.Transforms[0].Attributes = p.Transforms[0].Attributes[1:]
			m.Payloads[0] = peer1.SAPayload(p)
		},
	} {
		sa, m := t.summoned()
		change(sa, &m)
		t.send(sa.way, m.Encode())
		sa.turnedAway()
		t.order(Down)
		t.forget()
	}
	t.counts(0, 0)
}

func noIDAggressive(t *T) {
	for _, change := range []func(*peer.Message){
		func(m *peer.Message) { m.Payloads = slices.Delete(m.Payloads, 3, 4) },
		func(m *peer.Message) { m.Payloads[3].Body = append(slices.Clone(m.Payloads[3].Body), 'x') },
		func(m *peer.Message) {
			m.Payloads[3].Body = slices.Replace(slices.Clone(m.Payloads[3].Body), 1, 4, 6, 0, 80)
		},
		func(m *peer.Message) { m.Payloads[3].Body = m.Payloads[3].Body[:4] },
	} {
		m := t.newISAKMP(usual1).declare()
		change(&m)
		t.send(t.path(peer.PortIKE), m.Encode())
	}
	t.quiet()
	t.counts(0, 0)
}

func aggressiveNotPermitted(t *T) {
	m := t.newISAKMP(usual1).declare()
	t.send(t.path(peer.PortIKE), m.Encode())
	t.quiet()
	t.counts(0, 0)
}

func floatsAggressive(t *T) {
	sa := t.newISAKMP(usual1)
	sa.declared(sa.bid(sa.declare()))
	m := sa.confirmation()
	m.Payloads[2].Body = peer.Random(32) // as if there were a NAT in front of us
	sa.way = t.path(peer.PortNAT)
	sa.push(m)
	t.counts(1, 0)
	sa.alive()
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	sa, answer := t.summoned()
	answer.Payloads[5].Body = peer.Random(32) // as if there were one in front of the daemon
	t.send(sa.way, answer.Encode())
	d, third := sa.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.Aggressive })
	if d.Local.Port() != peer.PortNAT || d.Remote.Port() != peer.PortNAT {
		t.Errorf("the third message came from port %d to port %d: %s", d.Remote.Port(), d.Local.Port(), peer1.Describe(third))
	}
}
