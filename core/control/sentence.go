package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parley-ike/parley/bus/event"
)

// Sentence tells an event in one line for people: what happened, without the time. Events that have no sentence of their
// own are shown by name and fields. The text is printable.
func Sentence(e event.Event) string {
	tellers := []func(event.Event) string{ikeSentence, childSentence, negotiationSentence, livenessSentence, sessionSentence,
		rekeySentence, addressSentence, nodeSentence}
	for _, tell := range tellers {
		if s := tell(e); s != "" {
			return clean(s)
		}
	}
	return clean(fields(e))
}

func ikeSentence(e event.Event) string {
	switch e := e.(type) {
	case event.IKEInitiated:
		if e.IKE.Role == "initiator" {
			return fmt.Sprintf("we ask %v for an IKE SA, from %v", e.IKE.Remote, e.IKE.Local)
		}
		return fmt.Sprintf("%v asks us for an IKE SA, at %v", e.IKE.Remote, e.IKE.Local)
	case event.IKEStateChanged:
		return fmt.Sprintf("state %s -> %s", e.From, e.To)
	case event.IKEHalfOpenTimedOut:
		return "the IKE SA was not established in time; state: " + e.State
	case event.IKEEstablished:
		return fmt.Sprintf("IKE SA established: we are %s, the peer is %s at %v, %s", orDash(e.IKE.LocalID), orDash(e.IKE.RemoteID), e.IKE.Remote, e.IKE.Suite)
	case event.IKEDeleted:
		return fmt.Sprintf("IKE SA deleted by %s: %s", actor(e.By), e.Reason)
	case event.IKEFailed:
		return fmt.Sprintf("IKE SA failed in %s%s: %s", e.Stage, notified(e.Notify, e.By), e.Reason)
	case event.AuthSucceeded:
		return provedSentence(e)
	case event.AuthFailed:
		return authSentence(e)
	case event.AuthMessageReceived:
		return fmt.Sprintf("the peer says to user %s: %s", e.User, e.Text)
	}
	return ""
}

func provedSentence(e event.AuthSucceeded) string {
	if e.User != "" {
		return fmt.Sprintf("the peer's user proved to be %s (%s)", e.User, e.Method)
	}
	return fmt.Sprintf("the peer proved that it is %s (%s)", e.RemoteID, e.Method)
}

func authSentence(e event.AuthFailed) string {
	if e.Method == methodXAUTH {
		return userSentence(e)
	}
	if e.Side == "local" {
		return fmt.Sprintf("our proof as %s did not serve: %s", e.LocalID, e.Reason)
	}
	if e.RemoteID == "" { // it has not said who it is
		return "the peer is not authenticated: " + e.Reason
	}
	return fmt.Sprintf("the peer, which calls itself %s, is not authenticated: %s", e.RemoteID, e.Reason)
}

func childSentence(e event.Event) string {
	switch e := e.(type) {
	case event.ChildEstablished:
		c := e.Child
		return fmt.Sprintf("child %q established: %s <-> %s, %s %s, SPIs %s in, %s out, by %s", c.Name, list(c.LocalTS), list(c.RemoteTS),
			wire(c), c.Suite, c.SPIIn, c.SPIOut, orDash(c.Backend))
	case event.ChildDeleted:
		return fmt.Sprintf("child %q deleted by %s: %s; %s in, %s out", e.Child.Name, actor(e.By), e.Reason,
			octets(e.Traffic.BytesIn), octets(e.Traffic.BytesOut))
	case event.ChildFailed:
		return fmt.Sprintf("child %q failed%s: %s", e.Name, notified(e.Notify, e.By), e.Reason)
	case event.ChildTSMismatch:
		if len(e.OfferedLocal)+len(e.OfferedRemote) == 0 {
			return fmt.Sprintf("the peer accepts none of the selectors of child %q: %s <-> %s", e.Name, list(e.OurLocal), list(e.OurRemote))
		}
		return fmt.Sprintf("selectors of child %q: ours %s <-> %s, the peer's %s <-> %s", e.Name, list(e.OurLocal), list(e.OurRemote),
			list(e.OfferedLocal), list(e.OfferedRemote))
	case event.ChildTSNarrowed:
		return fmt.Sprintf("selectors of child %q narrowed to %s <-> %s", e.Name, list(e.LocalTS), list(e.RemoteTS))
	case event.ChildInstallFailed:
		return fmt.Sprintf("SA backend %s did not install child %q: %s", orDash(e.Backend), e.Name, e.Reason)
	}
	return ""
}

func negotiationSentence(e event.Event) string {
	switch e := e.(type) {
	case event.ProposalMismatch:
		if e.By == "peer" {
			return fmt.Sprintf("the peer accepts none of our %s proposals: %s", scope(e.Scope), strings.Join(e.Offered, ", "))
		}
		return fmt.Sprintf("the peer's %s proposals and ours have nothing in common: %s", scope(e.Scope), e.Closest)
	case event.WeakAlgorithm:
		return fmt.Sprintf("%s SA stands on what is weak, %s: %s", scope(e.Scope), strings.Join(e.What, " and "), e.Reason)
	case event.InvalidKE:
		if e.By == "peer" {
			return fmt.Sprintf("the peer wants key exchange %s instead of %s", e.Wanted, e.Sent)
		}
		return fmt.Sprintf("we want key exchange %s instead of the peer's %s, and ask it to start again", e.Wanted, e.Sent)
	case event.UnsupportedCritical:
		return fmt.Sprintf("the peer insists on payload type %d, which we do not know", e.Payload)
	case event.SuiteChosen:
		return fmt.Sprintf("%s suite agreed: %s", scope(e.Scope), e.Suite)
	case event.NotifyReceived:
		return fmt.Sprintf("the peer notifies %s in %s", e.Notify, e.Exchange)
	case event.NATDetected:
		return natSentence(e)
	case event.NATMappingChanged:
		return fmt.Sprintf("the peer's address changed from %v to %v", e.Old, e.New)
	case event.ChildPlaced:
		return fmt.Sprintf("child %s is carried by %s%s", e.Child.Name, e.Child.Placed, because(e.Reason))
	case event.ChildLost:
		return fmt.Sprintf("the SA backend has lost child %s; it is replaced", e.Child.Name)
	case event.AddressChanged:
		return fmt.Sprintf("the tunnel moved: %v is now %v, and the peer %v is %v", e.OldLocal, e.NewLocal, e.OldRemote, e.NewRemote)
	case event.RoutabilityFailed:
		return fmt.Sprintf("%v is not where the peer says it is: %s", e.Remote, e.Reason)
	case event.CookieRequested:
		if e.By == "peer" {
			return "the peer asks for a cookie before it spends state on us"
		}
		return "we ask the peer for a cookie"
	}
	return ""
}

func natSentence(e event.NATDetected) string {
	switch {
	case e.Local && e.Remote:
		return "both sides are behind a NAT: ESP goes in UDP 4500"
	case e.Local:
		return "we are behind a NAT: ESP goes in UDP 4500"
	}
	return "the peer is behind a NAT: ESP goes in UDP 4500"
}

func livenessSentence(e event.Event) string {
	switch e := e.(type) {
	case event.Retransmitted:
		text := fmt.Sprintf("%s sent again, %s", e.Exchange, times(e.Attempt))
		if e.FragmentSize != 0 {
			text += fmt.Sprintf(", now in packets of at most %d octets", e.FragmentSize)
		}
		return text
	case event.RetransmitTimedOut:
		return fmt.Sprintf("gave up %s: %v did not answer %s in %s", e.Exchange, e.Remote, count(e.Sent, "packet"), e.For)
	case event.PeerUnreachable:
		if !e.Remote.IsValid() {
			return "it cannot even be tried: " + e.Reason
		}
		return fmt.Sprintf("%v cannot be reached from here: %s", e.Remote, e.Reason)
	case event.PeerReachable:
		return fmt.Sprintf("%v can be reached again", e.Remote)
	case event.LivenessTimedOut:
		return fmt.Sprintf("the peer is dead: no answer to %s in %s", count(e.Sent, "packet"), e.For)
	case event.CookieThreshold:
		if e.On {
			return fmt.Sprintf("%s: cookies are demanded now", count(e.HalfOpen, "half-open SA"))
		}
		return fmt.Sprintf("%s: cookies are no longer demanded", count(e.HalfOpen, "half-open SA"))
	case event.RateLimited:
		return fmt.Sprintf("%s from %v dropped: %s", count(e.Count, "first packet"), e.Prefix, e.Reason)
	case event.ParseErrors:
		return fmt.Sprintf("%s from %v: %s", count(e.Count, "malformed packet"), e.Prefix, e.Reason)
	case event.IntegrityFailed:
		return fmt.Sprintf("%s from %v did not verify", count(e.Count, "packet"), e.Remote)
	case event.FragmentFailed:
		return fmt.Sprintf("%d of %s of %s dropped: %s", e.Received, count(e.Total, "fragment"), e.Exchange, e.Reason)
	}
	return ""
}

func nodeSentence(e event.Event) string {
	switch e := e.(type) {
	case event.PluginStarted:
		return fmt.Sprintf("plugin %s runs", pluginName(e.Plugin))
	case event.PluginStopped:
		return fmt.Sprintf("plugin %s stopped", pluginName(e.Plugin))
	case event.PluginCrashed:
		return fmt.Sprintf("plugin %s crashed with %s in flight: %s", pluginName(e.Plugin), count(e.InFlight, "call"), e.Reason)
	case event.PluginRestarted:
		return fmt.Sprintf("plugin %s is back after %s, restart %d", pluginName(e.Plugin), e.After, e.Restarts)
	case event.PluginUnhealthy:
		return fmt.Sprintf("plugin %s is not healthy: %s", pluginName(e.Plugin), e.Reason)
	case event.PluginDegraded:
		return fmt.Sprintf("plugin %s is degraded: %s", pluginName(e.Plugin), e.Reason)
	case event.PluginRejected:
		return fmt.Sprintf("plugin %s rejected: %s; %s", pluginName(e.Plugin), e.Reason, e.Remedy)
	case event.BackendChosen:
		return fmt.Sprintf("SA backend %s chosen: %s", e.Backend, e.Reason)
	case event.TrafficTrapped:
		return fmt.Sprintf("there is traffic for child %q: %s", e.Child, e.Packet)
	case event.PoliciesNotSet:
		return fmt.Sprintf("policies are not in force: %s: %s", strings.Join(e.Policies, ", "), e.Reason)
	case event.BackendReconciled:
		return fmt.Sprintf("SA backend %s reconciled: %d kept, %d reinstalled, %d updated, %d removed, %d left of an earlier daemon, %d failed", e.Backend, e.Kept, e.Reinstalled, e.Updated, e.Removed, e.Left, e.Failed)
	case event.DaemonStarted:
		return "parleyd " + e.Version + " started"
	case event.DaemonReady:
		return "ready at " + list(e.Listen)
	case event.KeysExported:
		return "the keys of all IKE SAs are written to " + e.File
	case event.DaemonStopping:
		return "stopping: " + e.Reason
	case event.ConfigChanged:
		return fmt.Sprintf("configuration %s in force: %s", e.Source, changes(e))
	case event.ConfigRejected:
		return fmt.Sprintf("configuration %s refused: %s", e.Source, e.Reason)
	case event.ControlRequested:
		return fmt.Sprintf("uid %d, pid %d: %s: %s", e.UID, e.PID, strings.TrimSpace(e.Verb+" "+e.Target), e.Result)
	case event.StreamGap:
		return fmt.Sprintf("%s lost %s, %d to %d", e.Subscriber, count(e.Count, "event"), e.First, e.Last)
	case event.MirrorDown:
		return fmt.Sprintf("NATS %s is not reachable: %s; events wait", e.URL, e.Reason)
	case event.MirrorUp:
		return fmt.Sprintf("NATS %s is reachable", e.URL)
	}
	return ""
}

// fields renders any event as its name and its fields, in the order of their declaration.
func fields(e event.Event) string {
	b, err := json.Marshal(e)
	if err != nil {
		return e.Kind().Name
	}
	out := e.Kind().Name
	dec := json.NewDecoder(bytes.NewReader(b))
	_, _ = dec.Token() // the opening brace
	for dec.More() {
		key, _ := dec.Token()
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			break
		}
		out += fmt.Sprintf(" %v=%s", key, value)
	}
	return out
}

func pluginName(p event.PluginRef) string {
	if p.PID == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
}

func actor(by string) string {
	switch by {
	case "peer", "operator":
		return "the " + by
	case "liveness":
		return "the liveness check"
	case "replaced":
		return "another IKE SA"
	case "redirect":
		return "a redirect"
	case "configuration":
		return "another configuration"
	case "expired":
		return "the end of its lifetime"
	case "rekey":
		return "rekeying"
	case "error":
		return "an error"
	}
	return by
}

func notified(notify, by string) string {
	switch {
	case notify == "":
		return ""
	case by == "peer":
		return " (the peer says " + notify + ")"
	}
	return " (we say " + notify + ")"
}

func scope(s string) string {
	switch s {
	case "ike":
		return "IKE"
	case "child":
		return "ESP"
	}
	return s
}

func wire(c event.ChildSA) string {
	s := c.Protocol
	if c.Mode == "transport" {
		s += " in transport mode"
	}
	if c.Encap {
		s += " in UDP"
	}
	return s
}

func list(all []string) string { return orDash(strings.Join(all, ", ")) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func octets(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1000 && unit < 4 {
		v, unit = v/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[unit])
}

// maxSentence bounds a line in octets; a peer's longest identity is 256.
const maxSentence = 2000

// clean makes text harmless for terminals and logs: control characters, among them line feeds and escape sequences, and
// what is not UTF-8 are shown as \x and two hex digits.
func clean(s string) string {
	if len(s) > maxSentence {
		s = s[:maxSentence] + "..."
	}
	if !strings.ContainsFunc(s, harmful) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if harmful(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// harmful tells C0 and C1 control characters, broken UTF-8, and the characters that change the direction of text.
func harmful(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '�' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// because gives a reason, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
