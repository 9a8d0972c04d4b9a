package ikev2

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// Words of events.
const (
	byUs       = "us"
	byPeer     = "peer"
	byOperator = "operator"
	byLiveness = "liveness"
	byError    = "error"
	byRekey    = "rekey"
	byReplaced = "replaced"
	byExpired  = "expired"
	byRedirect = "redirect"
	byConfig   = "configuration"

	scopeIKE   = "ike"
	scopeChild = "child"
)

// describe returns the SA as events show it.
func (s *SA) describe() event.IKESA {
	d := event.IKESA{Version: 2, Role: "responder", SPIi: hex64(s.spii), SPIr: hex64(s.spir), Local: s.local, Remote: s.remote}
	if s.initiator {
		d.Role = "initiator"
	}
	if s.suite != (suite.Suite{}) {
		d.Suite = s.suite.String()
	}
	d.Fragmentation = s.fragments.on
	if s.own.size > 1 {
		d.Window = s.own.size
	}
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

func hex64(spi uint64) string {
	if spi == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", spi)
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

// noticeAll tells of the peer's notifies: errors, also those of which other events tell more, and INITIAL_CONTACT.
func (s *SA) noticeAll(p packet) {
	told := 0
	for _, payload := range p.Payloads {
		n, ok := payload.(wire2.Notify)
		if !ok || !(n.Kind.IsError() || n.Kind == wire2.InitialContact) || told == maxNotices {
			continue
		}
		told++
		s.emit(event.NotifyReceived{Exchange: wire2.ExchangeName(p.Header.Exchange), Notify: n.Kind.String()})
	}
}

// tellNarrowed tells when the selectors in use are not those that were offered (RFC 7296 section 2.9).
func (s *SA) tellNarrowed(c *child, offeredLocal, offeredRemote []policy.Selector) {
	if slices.Equal(c.sa.LocalTS, opSelectors(offeredLocal)) && slices.Equal(c.sa.RemoteTS, opSelectors(offeredRemote)) {
		return
	}
	s.emit(event.ChildTSNarrowed{Name: c.sa.Name, LocalTS: machineSelectorStrings(c.sa.LocalTS), RemoteTS: machineSelectorStrings(c.sa.RemoteTS)})
}

// mismatchEvent tells transform by transform why we took none of the peer's proposals.
func mismatchEvent(scope string, m *policy.Mismatch, offered wire2.SA, configured []policy.Proposal) event.ProposalMismatch {
	e := event.ProposalMismatch{Scope: scope, By: byUs, Offered: offerStrings(offered), Configured: proposalStrings(configured), Closest: m.Closest}
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

// maxOffered bounds how many of the peer's proposals an event repeats; the longest default list seen has 18.
const maxOffered = 24

// offerStrings renders a peer's offer in the words of the configuration.
func offerStrings(sa wire2.SA) (list []string) {
	for _, w := range sa.Proposals[:min(len(sa.Proposals), maxOffered)] {
		var p policy.Proposal
		for _, t := range w.Transforms[:min(len(w.Transforms), maxOffered)] {
			p = append(p, policy.Transform{Type: t.Type, ID: t.ID, KeyBits: keyBits(t)})
		}
		list = append(list, p.String())
	}
	return list
}

func keyBits(t wire2.Transform) int {
	for _, a := range t.Attributes {
		if a.Type == wire2.AttrKeyLength {
			return int(a.Value)
		}
	}
	return 0
}

func selectorStrings(list []policy.Selector) []string {
	var out []string
	for _, ts := range list {
		out = append(out, ts.String())
	}
	return out
}

func machineSelectorStrings(list []machine.Selector) []string {
	var out []string
	for _, ts := range list {
		out = append(out, policy.Selector(ts).String())
	}
	return out
}

func opSelectors(list []policy.Selector) []machine.Selector {
	var out []machine.Selector
	for _, ts := range list {
		out = append(out, machine.Selector(ts))
	}
	return out
}

func opIdentity(id policy.Identity) machine.Identity {
	return machine.Identity{Type: uint8(id.Type), Data: []byte(id.Data)}
}

// firstError returns the first error notify of a message.
func firstError(ps []wire2.Payload) (wire2.Notify, bool) {
	for _, p := range ps {
		if n, ok := p.(wire2.Notify); ok && n.Kind.IsError() {
			return n, true
		}
	}
	return wire2.Notify{}, false
}

// refusals explain the error notifies of a peer.
var refusals = map[wire2.NotifyType]struct {
	cause event.Cause
	text  string
}{
	wire2.NoProposalChosen:           {event.CauseNoProposal, "it accepts none of our proposals, or has no connection for our address"},
	wire2.InvalidSyntax:              {event.CauseMalformed, "it could not read our message"},
	wire2.UnsupportedCriticalPayload: {event.CauseUnsupported, "it does not know a payload of ours"},
	wire2.InvalidMajorVersion:        {event.CauseUnsupported, "it does not speak IKEv2"},
	wire2.AuthenticationFailed:       {event.CauseAuthentication, "it does not authenticate us"},
	wire2.TSUnacceptable:             {event.CauseNoSelectors, "our traffic selectors overlap with none of its own"},
	wire2.SinglePairRequired:         {event.CauseNoSelectors, "it takes one pair of addresses per child SA only"},
	wire2.NoAdditionalSAs:            {event.CausePeerError, "it accepts no more child SAs"},
	wire2.InternalAddressFailure:     {event.CauseNoAddress, "it has no internal address for us: its pool may be exhausted; its log knows"},
	wire2.FailedCPRequired:           {event.CauseNoAddress, "it wants us to request an internal address: set virtual = [\"ipv4\"] in local { ... }"},
	wire2.TemporaryFailure:           {event.CausePeerError, "it cannot do so for the moment"},
	wire2.InvalidIKESPI:              {event.CausePeerError, "it does not know this IKE SA"},
	wire2.InvalidKEPayload:           {event.CauseInvalidKE, "it wants another key exchange method"},
}

// refusalOf explains an error notify; an unknown one means that the request failed (RFC 7296 section 3.10.1).
func refusalOf(kind wire2.NotifyType, what string) failure {
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

func keysFailure(err error) *failure {
	return &failure{cause: event.CauseUnsupported, notify: wire2.NoProposalChosen, by: byUs, reason: "the keys of the child could not be derived: " + err.Error()}
}

func operatorFailure(reason string) failure {
	if reason == "" {
		reason = "the operator asked for it"
	}
	return failure{cause: event.CauseOperator, by: byUs, reason: reason}
}

// silence explains that a request was given up while the SA was made.
func (s *SA) silence(o *outstanding, waited string) string {
	text := fmt.Sprintf("%v did not answer %s of %s in %s", s.remote, plural(o.sent, "packet"), wire2.ExchangeName(o.exch), waited)
	switch {
	case !s.heard:
		return text + ", and never anything else: is the address right, does IKE run there, does a firewall let UDP 500 and 4500 pass?"
	case s.remote.Port() == portNAT:
		return text + ", but it answered before: does a firewall on the way let UDP 4500 pass?"
	}
	return text + ", but it answered before: it may have refused us silently, or large packets are lost on the way"
}

// delay explains that an SA was not established in time.
func (s *SA) delay() string {
	if s.state == HalfOpen {
		return fmt.Sprintf("%v began, but did not go on to IKE_AUTH: our answer may have been lost, or UDP 4500 is blocked", s.remote)
	}
	return "a plugin did not answer while the SA was " + s.state.String()
}

func (s *SA) blameForDelay() string {
	if s.state == HalfOpen {
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
