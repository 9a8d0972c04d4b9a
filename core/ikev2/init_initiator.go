package ikev2

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// initX is the IKE_SA_INIT exchange of an initiator with its repetitions: with a cookie (RFC 7296 section 2.6), with
// another group (section 1.2) or with both (section 2.6.1). SPI, nonce and proposals stay the same in all of them.
type initX struct {
	s       *SA
	offer   wire2.SA // complete in every repetition, against downgrades
	method  uint16   // of the KE payload
	private secret.Bytes
	public  []byte
	nat     []wire2.Payload
	cookie  []byte // the last one, sent in all later repetitions
	retries int
	refusal *failure // the last error notify; anyone may have sent it
}

// initiate starts the SA with the first of the children.
func (s *SA) initiate(children []string) {
	switch {
	case s.state > Established || !s.initiator && s.state != Established:
		return
	case s.state != Idle:
		s.want(s.orFirst(children))
		return
	}
	s.emit(event.IKEInitiated{IKE: s.describe()})
	first, others, f := s.planChildren(children)
	if f != nil {
		s.fail(*f)
		return
	}
	s.ni = s.nonce()
	s.init = &initX{s: s, offer: ikeOffer(s.conn.IKE), nat: s.natDetection(0, s.local, s.remote)}
	s.init.prepare(policy.FirstKE(s.conn.IKE))
	s.auth = &authI{s: s, child: proposed{conf: first}}
	if first != nil && s.conn.Childless != policy.ChildlessPrefer {
		s.auth.allocate()
	}
	s.want(others)
}

// prepare gets a public value of a method and then sends the request.
func (x *initX) prepare(method uint16) {
	x.method, x.refusal = method, nil
	x.s.enter(Preparing)
	ask(x.s, machine.KEInitiate{Method: method}, 0, x.prepared)
}

func (x *initX) prepared(r machine.KEInitiated, err *machine.CallError) {
	if err != nil {
		x.s.fail(pluginFailure("the key exchange plugin could not make a value of "+suite.KEID(x.method).String(), err))
		return
	}
	x.private.Wipe()
	x.private, x.public = r.State, r.Public
	x.send()
}

// send sends the request as it now is. Message ID 0 serves for all repetitions (RFC 7296 section 2.2).
func (x *initX) send() {
	s := x.s
	s.enter(InitSent)
	var ps []wire2.Payload
	if x.cookie != nil {
		ps = append(ps, wire2.Notify{Kind: wire2.Cookie, Data: x.cookie}) // first (RFC 7296 section 2.6)
	}
	ps = append(ps, x.offer, wire2.KE{Method: x.method, Data: x.public}, wire2.Nonce{Data: s.ni})
	ps = append(append(ps, x.nat...), s.fragmentationNotify()...)
	ps = append(append(ps, hashNotify(s.conn)...), s.redirectSupport()...)
	s.ownInit = wire2.Message{Header: s.header(wire2.IKESAInit, 0, 0), Payloads: ps}.Append(nil)
	s.own.out = nil
	s.transmit(request{exch: wire2.IKESAInit}, 0, s.ownInit)
}

// initAccepted takes the response that makes the SA.
func (s *SA) initAccepted(p packet) {
	x := s.init
	answer, _ := wire2.Get[wire2.SA](p.Payloads)
	ke, _ := wire2.Get[wire2.KE](p.Payloads)
	choice, err := policy.Accept(policy.ScopeIKE, x.offer, answer)
	switch {
	case err != nil: // RFC 7296 section 3.3.6
		x.refused(failure{cause: event.CauseNoProposal, by: byUs, reason: "the peer's answer is not what we offered: " + err.Error()})
	case p.Header.ResponderSPI == 0:
		x.refused(failure{cause: event.CauseMalformed, by: byUs, reason: "the peer's answer has no responder SPI"})
	case uint16(choice.Suite.KE) != x.method || ke.Method != x.method:
		x.refused(failure{cause: event.CauseInvalidKE, by: byUs, reason: "the peer's answer uses another key exchange method than our request"})
	default:
		x.accepted(p, choice.Suite, ke)
	}
}

func (x *initX) accepted(p packet, chosen suite.Suite, ke wire2.KE) {
	s := x.s
	nonce, _ := wire2.Get[wire2.Nonce](p.Payloads)
	s.answered()
	x.refusal = nil
	s.spir, s.nr, s.suite, s.peerInit = p.Header.ResponderSPI, nonce.Data, chosen, p.Bytes
	s.emit(event.SuiteChosen{Scope: scopeIKE, Suite: chosen.String()})
	s.detectNAT(p)
	s.agreeFragmentation(p)
	s.float()
	s.enter(Agreeing)
	ask(s, machine.KEFinish{Method: x.method, State: x.private, Peer: ke.Data}, 0, x.finished)
}

func (x *initX) finished(r machine.KEFinished, err *machine.CallError) {
	s := x.s
	x.wipe()
	if err != nil {
		s.fail(keFailure(suite.KEID(x.method), err))
		return
	}
	if err := s.deriveKeys(r.Secret); err != nil {
		s.fail(failure{cause: event.CausePlugin, by: byUs, reason: "the keys could not be derived: " + err.Error()})
		return
	}
	s.init = nil
	s.auth.begin()
}

func (x *initX) wipe() {
	x.private.Wipe()
	x.private = nil
}

// initRefused takes a response without an SA. COOKIE and INVALID_KE_PAYLOAD say what to do; anything else may be forged
// and is only remembered (RFC 7296 section 2.21.1).
func (s *SA) initRefused(p packet) {
	x := s.init
	if n, ok := wire2.GetNotify(p.Payloads, wire2.Cookie); ok {
		x.repeatWithCookie(n.Data)
		return
	}
	if n, ok := wire2.GetNotify(p.Payloads, wire2.InvalidKEPayload); ok {
		x.repeatWithMethod(n.Data)
		return
	}
	if x.redirectedInInit(p) {
		return
	}
	if n, ok := firstError(p.Payloads); ok {
		s.explainInitRefusal(n)
		x.refused(refusalOf(n.Kind, "IKE_SA_INIT"))
	}
}

// explainInitRefusal tells once what we had offered to a peer that takes none of it.
func (s *SA) explainInitRefusal(n wire2.Notify) {
	if n.Kind == wire2.NoProposalChosen && s.init.refusal == nil {
		offered := proposalStrings(s.conn.IKE)
		s.emit(event.ProposalMismatch{Scope: scopeIKE, By: byPeer, Offered: offered, Configured: offered})
	}
}

// repeatWithCookie sends the request again with the cookie in front and all else unchanged (RFC 7296 section 2.6). The
// cookie that we have just sent is that of a repeated answer.
func (x *initX) repeatWithCookie(cookie []byte) {
	if len(cookie) == 0 || len(cookie) > maxCookie || bytes.Equal(cookie, x.cookie) || !x.mayRepeat() {
		return
	}
	x.s.emit(event.CookieRequested{By: byPeer})
	x.cookie = cookie
	x.send()
}

// repeatWithMethod sends the request again with the group that the peer wants, and all our proposals (RFC 7296 section
// 1.2). A group that we did not offer is a refusal; the one that we have just sent is an old or a forged answer.
func (x *initX) repeatWithMethod(data []byte) {
	if len(data) != 2 {
		return
	}
	s, wanted := x.s, binary.BigEndian.Uint16(data)
	names := event.InvalidKE{Sent: suite.KEID(x.method).String(), Wanted: suite.KEID(wanted).String(), By: byPeer}
	switch {
	case wanted == x.method:
	case !offersMethod(s.conn.IKE, wanted):
		if x.refusal == nil { // once: it may be forged
			s.emit(names)
		}
		x.refused(failure{cause: event.CauseInvalidKE, notify: wire2.InvalidKEPayload, by: byPeer,
			reason: fmt.Sprintf("the peer wants key exchange method %s, which connection %q does not offer", names.Wanted, s.conn.Name)})
	case x.mayRepeat():
		s.emit(names)
		s.own.out = nil
		x.prepare(wanted)
	}
}

// mayRepeat counts the repetitions that peers and forgers ask for.
func (x *initX) mayRepeat() bool {
	x.retries++
	return x.retries <= maxInitRetries
}

// refused remembers why the peer, or somebody in its place, refused. Retransmission goes on for a while.
func (x *initX) refused(f failure) {
	if x.refusal == nil {
		x.s.deadline = earliest(x.s.deadline, x.s.now.Add(x.s.limits.RefusalGrace))
	}
	x.refusal = &f
}
