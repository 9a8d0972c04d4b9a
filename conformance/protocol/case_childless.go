package protocol

import "github.com/parley-ike/parley/conformance/protocol/peer"

// IKE_AUTH without a child (RFC 6023).
var childlessCases = []Case{
	{IDs: ids("RFC6023-3"), Title: "A responder that permits it says CHILDLESS_IKEV2_SUPPORTED without data, and IKE_AUTH without a child makes an IKE SA, on which children follow.", Run: childlessPeer,
		Settings: Settings{Childless: "prefer"}},
	{IDs: ids("RFC6023-3", "RFC7296-2.21.2-2"), Title: "A responder that does not permit it does not say so, and refuses IKE_AUTH without a child.", Run: childlessForbidden,
		Settings: Settings{Childless: "never"}},
	{IDs: ids("RFC6023-3"), Title: "A responder that insists on it refuses a child in IKE_AUTH alone.", Run: childInChildless, Settings: Settings{Childless: "force"}},
	{IDs: ids("RFC6023-3"), Title: "The daemon that prefers it makes no child in IKE_AUTH with a peer that can, and then makes it by CREATE_CHILD_SA.", Run: childlessDaemon,
		Settings: Settings{Childless: "prefer"}},
	{IDs: ids("RFC6023-3"), Title: "From a peer that did not say that it can, the daemon asks for the child in IKE_AUTH; it never says itself that it can in a request.", Run: childlessNotOffered,
		Settings: Settings{Childless: "prefer"}},
	{IDs: ids("RFC6023-3"), Title: "The daemon that insists on it gives up when the peer cannot.", Run: childlessGivesUp, Settings: Settings{Childless: "force"}},
}

// beginChildless does IKE_SA_INIT and reports whether the daemon can do without a child.
func (t *T) beginChildless() (*SA, bool) {
	sa := t.newSA(usual)
	answer := sa.greet(sa.hello())
	sa.agree(answer)
	n, can := answer.Notify(peer.ChildlessSupported)
	if len(n.Data) != 0 || len(n.SPI) != 0 {
		t.Errorf("CHILDLESS_IKEV2_SUPPORTED is %+v", n)
	}
	return sa, can
}

func childlessPeer(t *T) {
	sa, can := t.beginChildless()
	if !can {
		t.Fatalf("the daemon does not say CHILDLESS_IKEV2_SUPPORTED")
	}
	answer := sa.ask(sa.Request(peer.IKEAuth, sa.proofs()...))
	sa.proven(answer)
	t.kinds(answer, peer.TypeIDr, peer.TypeAuth)
	if errs := answer.Errors(); len(errs) > 0 {
		t.Errorf("the answer has the errors %v", errs)
	}
	t.counts(1, 0)
	o := sa.offers(peer.X25519) // the first child has a key exchange of its own
	o.made(sa.ask(sa.Request(peer.CreateChildSA, o.payloads()...)))
	t.counts(1, 1)
}

func childlessForbidden(t *T) {
	sa, can := t.beginChildless()
	if can {
		t.Errorf("the daemon says CHILDLESS_IKEV2_SUPPORTED")
	}
	answer := sa.ask(sa.Request(peer.IKEAuth, sa.proofs()...))
	if errs := answer.Errors(); len(errs) != 1 {
		t.Errorf("the answer is %v", answer)
	}
	t.counts(0, 0)
	t.up().alive()
}

func childInChildless(t *T) {
	sa, _ := t.beginChildless()
	answer := sa.ask(sa.claim())
	sa.proven(answer)
	t.kinds(answer, peer.TypeIDr, peer.TypeAuth)
	if errs := answer.Errors(); len(errs) != 1 {
		t.Errorf("the answer is %v", answer)
	}
	t.counts(1, 0)
	o := sa.offers(0)
	o.made(sa.ask(sa.Request(peer.CreateChildSA, o.payloads()...)))
	t.counts(1, 1)
}

// meets answers the daemon's first message with more notifies, and returns its IKE_AUTH request.
func (t *T) meets(more ...peer.Payload) (*SA, peer.Message) {
	t.order(Up)
	sa, call := t.called()
	if _, says := call.Notify(peer.ChildlessSupported); says {
		t.Errorf("CHILDLESS_IKEV2_SUPPORTED is in a request: %v", call)
	}
	answer := sa.welcome(call)
	answer.Payloads = append(answer.Payloads, more...)
	sa.accept(call, answer)
	auth := sa.request(peer.IKEAuth)
	sa.proven(auth)
	return sa, auth
}

func childlessDaemon(t *T) {
	sa, auth := t.meets(peer.NotifyPayload(peer.ChildlessSupported))
	t.kinds(auth, peer.TypeIDi, peer.TypeIDr, peer.TypeAuth)
	sa.answer(auth, sa.grant()...)
	m := sa.request(peer.CreateChildSA)
	_, ps := sa.agreeTo(m)
	sa.answer(m, ps...)
	t.counts(1, 1)
}

func childlessNotOffered(t *T) {
	sa, auth := t.meets()
	t.kinds(auth, peer.TypeIDi, peer.TypeIDr, peer.TypeAuth, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.counts(1, 1)
}

func childlessGivesUp(t *T) {
	t.order(Up)
	sa, call := t.called()
	sa.accept(call, sa.welcome(call))
	t.quiet()
	t.counts(0, 0)
}
