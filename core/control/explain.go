package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// ErrNotFound says that there is no connection or peer of that name.
var ErrNotFound = errors.New("control: not found")

// Explain says why a connection did not come up, from its last attempt; or, for an address that is no connection's name,
// what became of the last attempt from there that matched no connection. The error wraps ErrNotFound.
func (h *History) Explain(target string, c *config.Snapshot) (*controlv1.Explanation, error) {
	conn, known := connectionOf(c, target)
	if !known {
		addr, err := netip.ParseAddr(target)
		if err != nil {
			return nil, fmt.Errorf("%w: there is no connection %q%s", ErrNotFound, target, listed(names(c)))
		}
		conn.covers = func(a netip.Addr) bool { return a == addr }
	}
	attempts, troubles := h.attempts(conn)
	if len(attempts) == 0 && !known {
		return nil, fmt.Errorf("%w: nobody at %s has tried anything that matched no connection", ErrNotFound, target)
	}
	return explain(target, conn, c, attempts, troubles), nil
}

func (h *History) attempts(conn connection) ([]*attempt, []event.Record) {
	h.lock()
	defer h.mu.Unlock()
	return h.stories.of(conn.name, conn.covers), h.stories.troublesOf(conn.name)
}

// explain tells the newest attempt, or the newest that is up. attempts[0] is the newest.
func explain(target string, conn connection, c *config.Snapshot, attempts []*attempt, troubles []event.Record) *controlv1.Explanation {
	if len(attempts) == 0 {
		t := &tale{conn: conn, config: c, troubles: troubles, out: &controlv1.Explanation{Target: clean(target)}}
		t.neverTried()
		return t.out
	}
	i := max(0, slices.IndexFunc(attempts, func(a *attempt) bool { return a.up }))
	out := tell(target, conn, c, attempts[i], troubles)
	for j, a := range attempts {
		if j != i {
			other := tell(target, conn, c, a, nil)
			out.Earlier = append(out.Earlier, &controlv1.Earlier{Begun: timestamppb.New(a.begun), Role: a.ike.Role, Code: other.Code, Sentence: other.Sentence})
		}
	}
	return out
}

// tell tells one attempt.
func tell(target string, conn connection, c *config.Snapshot, a *attempt, troubles []event.Record) *controlv1.Explanation {
	t := &tale{a: a, conn: conn, config: c, troubles: troubles, out: &controlv1.Explanation{Target: clean(target)}}
	t.describe()
	t.steps()
	t.identities()
	t.judge()
	return t.out
}

// tale is an explanation in the making.
type tale struct {
	a        *attempt
	conn     connection
	config   *config.Snapshot
	troubles []event.Record
	out      *controlv1.Explanation
}

func (t *tale) describe() {
	a := t.a
	t.out.Attempt = &controlv1.Attempt{Role: a.ike.Role, IkeUid: a.uid.String(), Begun: timestamppb.New(a.begun), Local: addrPort(a.ike.Local),
		Remote: addrPort(a.ike.Remote), Suite: a.ike.Suite}
	if a.over {
		t.out.Attempt.Ended = timestamppb.New(a.ended)
	}
	if e, ok := last[event.RetransmitTimedOut](a); ok {
		t.out.Attempt.Sent = uint32(e.Sent)
	} else if e, ok := last[event.Retransmitted](a); ok {
		t.out.Attempt.Sent = uint32(e.Attempt) + 1
	}
}

func (t *tale) steps() {
	t.out.Omitted = uint32(t.a.omitted)
	told := "" // the reason of a refused proof, which the failure repeats
	for _, r := range t.a.events() {
		sentence := Sentence(r.Event)
		switch e := r.Event.(type) {
		case event.AuthFailed:
			told = e.Reason
		case event.IKEFailed:
			if e.Reason == told {
				sentence = strings.TrimSuffix(sentence, ": "+clean(told))
			}
		}
		t.out.Steps = append(t.out.Steps, &controlv1.Step{Time: timestamppb.New(r.Time), AfterMs: milliseconds(r.Time.Sub(t.a.begun)),
			Name: r.Event.Kind().Name, Bad: r.Event.Kind().Outcome == event.Failure, Text: sentence})
	}
}

func (t *tale) identities() {
	if t.a.ike.LocalID == "" && t.claimed() == "" { // it ended before anybody told
		return
	}
	we := &controlv1.Side{Who: "we", Identity: clean(t.a.ike.LocalID), Configured: t.conn.localID}
	peer := &controlv1.Side{Who: "peer", Identity: clean(t.claimed()), Configured: t.conn.remoteID}
	t.out.Identities = append(t.out.Identities, we, peer)
}

// claimed is the identity that the peer gave, "" when it has not come so far.
func (t *tale) claimed() string {
	if e, ok := last[event.AuthFailed](t.a); ok && e.Side == "remote" {
		return e.RemoteID
	}
	if e, ok := last[event.AuthSucceeded](t.a); ok {
		return e.RemoteID
	}
	if _, ok := last[event.IKEEstablished](t.a); ok || !t.a.initiator() {
		return t.a.ike.RemoteID
	}
	return "" // what we expect stands there
}

// verdict sets the headline.
func (t *tale) verdict(code, format string, args ...any) {
	t.out.Code, t.out.Sentence = code, clean(fmt.Sprintf(format, args...))
}

// remedy adds something to change, at the place of the first of the settings that is known: the first remedy is the
// likeliest.
func (t *tale) remedy(setting, format string, args ...any) {
	r := &controlv1.Remedy{Text: clean(fmt.Sprintf(format, args...))}
	if setting != "" && t.config != nil {
		r.File, r.Line = position(t.config.Where(setting))
	}
	if t.out.Remedy == nil {
		t.out.Remedy = r
		return
	}
	t.out.Alternatives = append(t.out.Alternatives, r)
}

func (t *tale) note(format string, args ...any) {
	text := clean(fmt.Sprintf(format, args...))
	if t.ikev1() {
		text = ofIKEv2.ReplaceAllString(text, "")
	}
	t.out.Notes = append(t.out.Notes, text)
}

// position splits "file:line".
func position(at string) (file string, line uint32) {
	i := strings.LastIndexByte(at, ':')
	if i < 0 {
		return at, 0
	}
	n, err := strconv.ParseUint(at[i+1:], 10, 32)
	if err != nil {
		return at, 0
	}
	return at[:i], uint32(n)
}

// last returns the last event of a type in an attempt.
func last[T event.Event](a *attempt) (T, bool) {
	for _, r := range slices.Backward(a.events()) {
		if e, ok := r.Event.(T); ok {
			return e, true
		}
	}
	var none T
	return none, false
}

// connection is what explanations need of the configuration of one. The zero value, with covers set, stands for none.
type connection struct {
	name              string
	localID, remoteID string
	local, remote     string // address, name or "any"
	ike               string // its versions of IKE: "v1", "v2" or "any"
	auth              string // of the remote side
	signs, peerSigns  bool   // which side authenticates itself by a signature
	children          []string
	pskFile, pskKey   string // where the pre-shared key for the peer lies, and its setting
	covers            func(netip.Addr) bool
}

func connectionOf(c *config.Snapshot, name string) (connection, bool) {
	if c == nil || c.Policy == nil {
		return connection{}, false
	}
	p, ok := c.Policy.Connection(name)
	if !ok {
		return connection{}, false
	}
	conn := connection{name: name, localID: p.Local.Identity.String(), remoteID: p.Remote.Identity.String(), auth: p.Remote.Auth, signs: p.Local.Signs(), peerSigns: p.Remote.Signs(),
		local: endpoint(p.Local.Addr, "", nil), remote: endpoint(p.Remote.Addr, p.Remote.Host, p.Remote.Prefixes)}
	if conn.ike = fmt.Sprintf("v%d", p.Initiates()); p.Speaks(1) && p.Speaks(2) {
		conn.ike = "any"
	}
	for _, child := range p.Children {
		conn.children = append(conn.children, child.Name)
	}
	for _, psk := range c.Credentials {
		if conn.pskFile == "" && psk.RemoteID.Matches(p.Remote.Identity) && (psk.Local == "" || psk.LocalID.Matches(p.Local.Identity)) {
			conn.pskFile, conn.pskKey = psk.File, "credentials.psk."+psk.Remote
		}
	}
	addr, host, prefixes := p.Remote.Addr, p.Remote.Host, p.Remote.Prefixes
	conn.covers = func(a netip.Addr) bool {
		switch {
		case addr.IsValid():
			return a.Unmap() == addr.Unmap()
		case len(prefixes) > 0:
			return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
		}
		return host == "" // a name's address is not known here
	}
	return conn, true
}

func endpoint(addr netip.Addr, host string, prefixes []netip.Prefix) string {
	switch {
	case addr.IsValid():
		return addr.String()
	case host != "":
		return host
	case len(prefixes) == 1:
		return prefixes[0].String()
	case len(prefixes) > 1:
		return fmt.Sprintf("%v and %d more", prefixes[0], len(prefixes)-1)
	}
	return "any"
}

func names(c *config.Snapshot) (all []string) {
	if c == nil || c.Policy == nil {
		return nil
	}
	for _, p := range c.Policy.Connections {
		all = append(all, p.Name)
	}
	return all
}

// listed continues an error with what there is.
func listed(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return ": the configuration has none"
	case len(names) > most:
		return fmt.Sprintf(": there are %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	case len(names) == 1:
		return ": there is " + names[0]
	}
	return ": there are " + strings.Join(names, ", ")
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}

// explainAttempt tells one attempt of a connection, or the last one when that is forgotten.
func (h *History) explainAttempt(conn string, uid event.UID, snapshot *config.Snapshot) *controlv1.Explanation {
	c, _ := connectionOf(snapshot, conn)
	if c.covers == nil { // a reload took it away meanwhile
		c = connection{name: conn, covers: func(netip.Addr) bool { return false }}
	}
	attempts, troubles := h.attempts(c)
	if i := slices.IndexFunc(attempts, func(a *attempt) bool { return a.uid == uid }); i >= 0 {
		return tell(conn, c, snapshot, attempts[i], troubles)
	}
	return explain(conn, c, snapshot, attempts, troubles)
}
