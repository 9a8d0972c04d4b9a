package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// Words of events.
const (
	byUs       = "us"
	byPeer     = "peer"
	byOperator = "operator"
	byLiveness = "liveness"
	byRekey    = "rekey"
	byReplaced = "replaced"
	byExpired  = "expired"
	byConfig   = "configuration"

	scopeIKE   = "ike"
	scopeChild = "child"
)

// describe returns the SA as events show it.
func (s *SA) describe() event.IKESA {
	d := event.IKESA{Version: 1, Role: "responder", SPIi: hex64(s.cookieI), SPIr: hex64(s.cookieR), Local: s.local, Remote: s.remote}
	d.Fragmentation = s.fragments()
	if s.initiator {
		d.Role = "initiator"
	}
	if s.suite.Encr != suite.EncrNone {
		d.Suite = s.suite.String()
	}
	d.User = s.userName()
	d.LocalID, d.RemoteID = idText(s.localID), idText(s.remoteID)
	return d
}

// idText is empty as long as an identity is not known.
func idText(id policy.Identity) string {
	if id.IsAny() {
		return ""
	}
	return id.String()
}

func hex64(cookie uint64) string {
	if cookie == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", cookie)
}

// connName is empty until a responder knows which connection the peer means.
func (s *SA) connName() string {
	if !s.named || s.conn == nil {
		return ""
	}
	return s.conn.Name
}

func (c *child) describe() event.ChildSA {
	return event.ChildSA{UID: c.sa.UID, Name: c.sa.Name, SPIIn: fmt.Sprintf("%08x", c.sa.SPIIn), SPIOut: fmt.Sprintf("%08x", c.sa.SPIOut),
		Protocol: "ESP", Mode: policy.Mode(c.sa.Mode).String(), Suite: c.suite.String(), LocalTS: machineSelectorStrings(c.sa.LocalTS),
		RemoteTS: machineSelectorStrings(c.sa.RemoteTS), Encap: c.sa.Encap, Backend: c.sa.Backend,
		BackendReason: c.conf.BackendReason, Handling: c.conf.Handling.Words(), Placed: c.placed}
}

func sideOf(ours bool) string {
	if ours {
		return byUs
	}
	return byPeer
}

// stage names what an SA is busy with.
func (s *SA) stage() string {
	switch {
	case s.state >= Established:
		return wire1.ExchangeName(wire1.Informational)
	case s.state.secured():
		return wire1.ExchangeName(wire1.Transaction)
	case s.phase1 != nil:
		return wire1.ExchangeName(s.phase1.kind)
	}
	return wire1.ExchangeName(wire1.MainMode)
}

// noticeAll tells of the peer's notifies: errors, and INITIAL-CONTACT.
func (s *SA) noticeAll(p packet) {
	told := 0
	for _, n := range wire1.All[wire1.Notify](p.Payloads) {
		if told < maxNotices && (n.Kind.IsError() || n.Kind == wire1.InitialContact) {
			told++
			s.emit(event.NotifyReceived{Exchange: wire1.ExchangeName(p.Header.Exchange), Notify: n.Kind.String()})
		}
	}
}

// authFailed tells that a proof was refused, or could not be made.
func (s *SA) authFailed(f failure) {
	s.emit(event.AuthFailed{Side: "remote", Method: s.method.String(), LocalID: idText(s.localID), RemoteID: idText(s.remoteID),
		Cause: f.cause, Reason: f.reason})
}

// mismatchEvent tells transform by transform why we took none of the peer's proposals.
func mismatchEvent(scope string, m *policy.Mismatch, offered []string, configured []policy.Proposal) event.ProposalMismatch {
	e := event.ProposalMismatch{Scope: scope, By: byUs, Offered: offered, Configured: proposalStrings(configured), Closest: m.Closest}
	for _, r := range m.Reports {
		e.Verdicts = append(e.Verdicts, event.TransformReport{OfferedProposal: r.OfferedProposal, ConfiguredProposal: r.ConfiguredProposal,
			Type: r.Type, Offered: r.Offered, Configured: r.Configured, Common: r.Common, OK: r.OK})
	}
	return e
}

func closest(m *policy.Mismatch) string {
	if m == nil || m.Closest == "" {
		return ""
	}
	return ": " + m.Closest
}

func proposalStrings(ps []policy.Proposal) (list []string) {
	for _, p := range ps {
		list = append(list, p.String())
	}
	return list
}

func opIdentity(id policy.Identity) machine.Identity {
	return machine.Identity{Type: uint8(id.Type), Data: []byte(id.Data)}
}

// refusals explain the error notifies of a peer.
var refusals = map[wire1.NotifyType]struct {
	cause event.Cause
	text  string
}{
	wire1.NoProposalChosen:       {event.CauseNoProposal, "it accepts none of our proposals, or has no connection for our address"},
	wire1.BadProposalSyntax:      {event.CauseMalformed, "it could not read our proposals"},
	wire1.PayloadMalformed:       {event.CauseAuthentication, "it could not read our message: with pre-shared keys, the two sides have different keys"},
	wire1.InvalidPayloadType:     {event.CauseAuthentication, "it could not read our message: with pre-shared keys, the two sides have different keys"},
	wire1.InvalidHashInformation: {event.CauseAuthentication, "it does not accept our proof: with pre-shared keys, the two sides have different keys"},
	wire1.AuthenticationFailed:   {event.CauseAuthentication, "it does not authenticate us"},
	wire1.InvalidSignature:       {event.CauseAuthentication, "it does not accept our signature"},
	wire1.InvalidIDInformation:   {event.CauseUnknownIdentity, "it has nothing for an identity of ours: in phase 1 compare the identities of both sides, in quick mode the selectors, which must be equal"},
	wire1.InvalidKeyInformation:  {event.CauseInvalidKE, "it does not accept our key exchange value"},
	wire1.InvalidMajorVersion:    {event.CauseUnsupported, "it does not speak IKEv1"},
	wire1.AttributesNotSupported: {event.CauseUnsupported, "it does not support an attribute of ours"},
}

// refusalOf explains an error notify.
func refusalOf(kind wire1.NotifyType, what string) failure {
	f := failure{cause: event.CausePeerError, notify: kind, by: byPeer, reason: fmt.Sprintf("the peer refused %s with %v", what, kind)}
	if r, ok := refusals[kind]; ok {
		f.cause = r.cause
		f.reason += ": " + r.text
	}
	return f
}

func pluginFailure(what string, err *machine.CallError) failure {
	return failure{cause: event.CausePlugin, by: byUs, reason: what + ": " + err.Error()}
}

// keFailure explains a failed key exchange: the peer's value may be to blame.
func keFailure(method suite.KEID, err *machine.CallError) failure {
	if err.Kind == machine.Invalid {
		return failure{cause: event.CauseMalformed, by: byUs, reason: fmt.Sprintf("the peer's public value for %v is unacceptable: %v", method, err)}
	}
	return pluginFailure(fmt.Sprintf("the key exchange plugin for %v failed", method), err)
}

func operatorFailure(reason string) failure {
	if reason == "" {
		reason = "the operator asked for it"
	}
	return failure{cause: event.CauseOperator, by: byUs, reason: reason}
}

// silence explains that a message was given up.
func (s *SA) silence(x *exchange, waited string) string {
	text := fmt.Sprintf("%v did not answer %s of %s in %s", s.remote, plural(x.tries, "packet"), wire1.ExchangeName(x.kind), waited)
	switch {
	case !s.heard:
		return text + ", and never anything else: is the address right, does IKE run there, does a firewall let UDP 500 and 4500 pass?"
	case s.state == Identifying && s.remote.Port() == portNAT:
		return text + ", but it answered before: " + s.doubt() + ", or a firewall on the way stops UDP 4500"
	case s.state == Identifying:
		return text + ", but it answered before: " + s.doubt() + ", or it does not know our identity; its log knows"
	}
	return text + ", but it answered before: it may have refused us silently, or large packets are lost on the way"
}

// delay explains that an SA was not established in time.
func (s *SA) delay() string {
	if s.state == Authenticating {
		return s.noUser()
	}
	if in(Answered, HalfOpen).has(s.state) {
		return fmt.Sprintf("%v began, but did not go on: our answer may have been lost, or the pre-shared keys differ, or UDP 4500 is blocked", s.remote)
	}
	if s.state == Configuring {
		return "the peer set no inner address, for which we wait (mode_config = \"push\"): if it wants to be asked, set mode_config = \"pull\""
	}
	return "a plugin did not answer while the SA was " + s.state.String()
}

func (s *SA) blameForDelay() string {
	if in(Answered, HalfOpen, Authenticating, Configuring).has(s.state) {
		return byPeer
	}
	return byUs
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// export gives a copy of the key to whoever decrypts captures, when the operator wants that.
func (s *SA) export() {
	if s.env.ExportKeys {
		s.fx.Add(machine.Export{Keys: machine.Keys{Version: wire1.Version, SPIi: s.cookieI, SPIr: s.cookieR,
			Encr: uint16(s.suite.Encr), KeyBits: uint16(s.suite.KeyBits), EncrI: s.keys.Encr.Clone()}})
	}
}
