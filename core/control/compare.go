package control

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// mismatches adds what both sides proposed, wherever they differed.
func (t *tale) mismatches() {
	for _, r := range t.a.events() {
		switch e := r.Event.(type) {
		case event.ProposalMismatch:
			t.out.Proposals = append(t.out.Proposals, comparison(e))
		case event.ChildTSMismatch:
			t.out.Selectors = append(t.out.Selectors, selectors(e)...)
		}
	}
}

func comparison(e event.ProposalMismatch) *controlv1.Comparison {
	c := &controlv1.Comparison{Scope: e.Scope, By: e.By, Offered: cleanAll(e.Offered), Configured: cleanAll(e.Configured), Closest: clean(e.Closest)}
	for _, v := range e.Verdicts {
		c.Verdicts = append(c.Verdicts, &controlv1.TransformVerdict{OfferedProposal: uint32(v.OfferedProposal), ConfiguredProposal: uint32(v.ConfiguredProposal),
			Type: clean(v.Type), Offered: cleanAll(v.Offered), Configured: cleanAll(v.Configured), Common: cleanAll(v.Common), Ok: v.OK})
	}
	return c
}

func cleanAll(all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, clean(s))
	}
	return out
}

func selectors(e event.ChildTSMismatch) []*controlv1.Selectors {
	return []*controlv1.Selectors{
		{Child: clean(e.Name), Side: "local", Ours: e.OurLocal, Theirs: cleanAll(e.OfferedLocal), Overlap: overlaps(e.OurLocal, e.OfferedLocal)},
		{Child: clean(e.Name), Side: "remote", Ours: e.OurRemote, Theirs: cleanAll(e.OfferedRemote), Overlap: overlaps(e.OurRemote, e.OfferedRemote)},
	}
}

// noSelectors: the traffic selectors of a child have nothing in common (RFC 7296 section 2.9).
func (t *tale) noSelectors(e event.ChildFailed) {
	ts, told := last[event.ChildTSMismatch](t.a)
	name := e.Name
	switch {
	case !told:
		t.other(e.Cause, e.By, e.Reason)
	case e.By == "peer":
		t.verdict("selectors_refused", "the peer accepts none of the traffic selectors of child %q", name)
		t.remedy(t.setting("child."+name+".local_ts"), "local_ts %s must be what the peer has as its remote side", list(ts.OurLocal))
		t.remedy(t.setting("child."+name+".remote_ts"), "remote_ts %s must be what the peer has as its local side", list(ts.OurRemote))
		t.note("TS_UNACCEPTABLE does not tell what the peer wants (RFC 7296 section 2.9); its log and its configuration do")
	case t.a.initiator():
		t.verdict("selectors_widened", "the peer answered for child %q with traffic selectors that we did not offer", name)
		t.mirror(name, ts)
	default:
		t.verdict("selector_mismatch", "the traffic selectors of child %q and those of the peer have nothing in common: %s", name, differingSides(ts))
		t.mirror(name, ts)
	}
}

// mirror says which selectors to change.
func (t *tale) mirror(child string, ts event.ChildTSMismatch) {
	for _, side := range []struct {
		setting      string
		ours, theirs []string
	}{{"local_ts", ts.OurLocal, ts.OfferedLocal}, {"remote_ts", ts.OurRemote, ts.OfferedRemote}} {
		if len(overlaps(side.ours, side.theirs)) == 0 {
			t.remedy(t.setting("child."+child+"."+side.setting), "set %s = %s in child %q as the peer has it, or have the peer use %s",
				side.setting, quoted(side.theirs), child, list(side.ours))
		}
	}
	if t.out.Remedy == nil {
		t.remedy(t.setting("child."+child), "make the selectors of both sides mirror images, protocols and ports as well")
	}
}

func differingSides(ts event.ChildTSMismatch) string {
	var sides []string
	if len(overlaps(ts.OurLocal, ts.OfferedLocal)) == 0 {
		sides = append(sides, "local_ts")
	}
	if len(overlaps(ts.OurRemote, ts.OfferedRemote)) == 0 {
		sides = append(sides, "remote_ts")
	}
	switch len(sides) {
	case 0:
		return "the addresses overlap, the protocols or ports do not"
	case 1:
		return sides[0] + " differs"
	}
	return "both sides differ"
}

func quoted(all []string) string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%q", clean(s)))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// maxOverlaps bounds a comparison of lists, which a peer may make long.
const maxOverlaps = 32

// overlaps returns the addresses that are in both lists, for people. Protocols and ports are compared by their words only.
func overlaps(ours, theirs []string) (common []string) {
	for _, o := range ours {
		for _, p := range theirs {
			if len(common) == maxOverlaps {
				return common
			}
			if c := overlap(o, p); c != "" {
				common = append(common, c)
			}
		}
	}
	return common
}

func overlap(a, b string) string {
	addrA, portsA, _ := strings.Cut(a, "[")
	addrB, portsB, _ := strings.Cut(b, "[")
	if portsA != portsB && portsA != "" && portsB != "" {
		return ""
	}
	ports := max(portsA, portsB)
	if ports != "" {
		ports = "[" + ports
	}
	firstA, lastA, okA := addresses(addrA)
	firstB, lastB, okB := addresses(addrB)
	if !okA || !okB || firstA.BitLen() != firstB.BitLen() {
		return ""
	}
	first, final := larger(firstA, firstB), smaller(lastA, lastB)
	switch {
	case final.Less(first):
		return ""
	case first == firstA && final == lastA:
		return addrA + ports
	case first == firstB && final == lastB:
		return addrB + ports
	case first == final:
		return first.String() + ports
	}
	return fmt.Sprintf("%v-%v%s", first, final, ports)
}

// addresses returns the first and last address of "10.1.0.0/16", "10.1.0.1" or "10.1.0.1-10.1.0.9".
func addresses(s string) (first, final netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().Addr(), lastOf(p), true
	}
	from, to, found := strings.Cut(s, "-")
	if !found {
		to = from
	}
	first, err1 := netip.ParseAddr(from)
	final, err2 := netip.ParseAddr(to)
	return first, final, err1 == nil && err2 == nil
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func larger(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func smaller(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return a
	}
	return b
}
