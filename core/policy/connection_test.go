package policy

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRetransmissionBacksOffAndGivesUpInReasonableTime(t *testing.T) { // RFC7296-2.4-6
	t.Parallel()
	r := DefaultRetransmit()
	if r.After(0) != 500*time.Millisecond || r.After(1) != 900*time.Millisecond || r.After(1000) != 15*time.Second {
		t.Errorf("waits %v, %v, %v", r.After(0), r.After(1), r.After(1000))
	}
	for try := range 100 {
		if r.After(try+1) < r.After(try) || r.After(try) > r.Max {
			t.Errorf("after %d: %v, then %v", try, r.After(try), r.After(try+1))
		}
	}
	if r.Tries < 12 || r.Total() < 75*time.Second || r.Total() > 165*time.Second {
		t.Errorf("%d retransmissions in %v, want a dozen in 75 to 165 s", r.Tries, r.Total())
	}
	odd := Retransmit{Initial: time.Second, Factor: 0.5, Max: 10 * time.Second, Tries: 3}
	if odd.After(5) != time.Second || odd.After(-1) != time.Second {
		t.Error("a factor below one makes waits shorter")
	}
}

func TestApplyDefaultsFillsWhatIsNotSetAndNothingElse(t *testing.T) {
	t.Parallel()
	c := &Connection{
		Name:     "west",
		Remote:   Endpoint{Addr: netip.MustParseAddr("192.0.2.2")},
		Local:    Endpoint{Identity: identity(t, "east"), Auth: "signature"},
		Liveness: time.Minute,
		Children: []*Child{{Name: "lan", LocalTS: selectors(t, "10.1.0.0/16")}},
	}
	c.ApplyDefaults()
	want := &Connection{
		Name:   "west",
		Remote: Endpoint{Addr: netip.MustParseAddr("192.0.2.2"), Identity: identity(t, "192.0.2.2"), Auth: "psk"},
		Local:  Endpoint{Identity: identity(t, "east"), Auth: "signature"},
		IKE:    DefaultIKE(), Retransmit: DefaultRetransmit(), Liveness: time.Minute,
		HalfOpen: 30 * time.Second, NATKeepalive: 20 * time.Second, CallBudget: 5 * time.Second, MaxChildren: 64, Lifetime: Lifetime{Time: DefaultIKELifetime},
		Children: []*Child{{Name: "lan", LocalTS: selectors(t, "10.1.0.0/16"), RemoteTS: selectors(t, "192.0.2.2"), ESP: DefaultESP(), OnDead: DeadClear, ReplayWindow: 64, Lifetime: Lifetime{Time: DefaultChildLifetime}}},
		Session:  Session{Retry: DefaultRetry(), RedirectGrace: DefaultRedirectGrace},
		Messages: Messages{FragmentSize: 1280, Window: 1},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if child, ok := c.Child("lan"); !ok || child != c.Children[0] {
		t.Error("the child is not found by its name")
	}
	if _, ok := c.Child("wan"); ok {
		t.Error("a child that is not there is found")
	}
}

func endpoint(t testing.TB, where string) Endpoint {
	t.Helper()
	switch {
	case where == "any":
		return Endpoint{}
	case strings.Contains(where, "/"):
		return Endpoint{Prefixes: []netip.Prefix{netip.MustParsePrefix(where)}}
	}
	return Endpoint{Addr: netip.MustParseAddr(where)}
}

func TestCandidatesComeMostSpecificFirst(t *testing.T) {
	t.Parallel()
	s := &Snapshot{}
	for _, c := range []struct{ name, local, remote string }{
		{"anywhere", "any", "any"}, {"wide", "any", "192.0.0.0/16"}, {"narrow", "any", "192.0.2.0/24"}, {"exact", "any", "192.0.2.2"},
		{"exact both", "198.51.100.1", "192.0.2.2"}, {"host prefix", "any", "192.0.2.2/32"}, {"other", "any", "192.0.2.3"},
		{"other local", "198.51.100.2", "any"}, {"six", "any", "2001:db8::/32"}, {"anywhere too", "any", "any"},
	} {
		s.Connections = append(s.Connections, &Connection{Name: c.name, Local: endpoint(t, c.local), Remote: endpoint(t, c.remote)})
	}
	for _, tt := range []struct{ local, remote, want string }{
		{"198.51.100.1", "192.0.2.2", "exact both,exact,host prefix,narrow,wide,anywhere,anywhere too"},
		{"::ffff:198.51.100.1", "::ffff:192.0.2.2", "exact both,exact,host prefix,narrow,wide,anywhere,anywhere too"},
		{"198.51.100.2", "203.0.113.1", "other local,anywhere,anywhere too"},
		{"2001:db8::1", "2001:db8::2", "six,anywhere,anywhere too"},
	} {
		var names []string
		for _, c := range s.Candidates(netip.MustParseAddr(tt.local), netip.MustParseAddr(tt.remote)) {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, ","); got != tt.want {
			t.Errorf("%s to %s: %s, want %s", tt.local, tt.remote, got, tt.want)
		}
	}
}

func TestSelectPrefersTheExactIdentityAndTheWish(t *testing.T) {
	t.Parallel()
	conn := func(name, local, remote string) *Connection {
		return &Connection{Name: name, Local: Endpoint{Identity: identity(t, local)}, Remote: Endpoint{Identity: identity(t, remote)}}
	}
	all := []*Connection{conn("any", "east", "%any"), conn("wild", "east", "*.example.net"), conn("west", "east", "west.example.net"), conn("west 2", "north", "west.example.net")}
	wish := func(s string) *Identity { id := identity(t, s); return &id }
	for _, tt := range []struct {
		remote string
		wish   *Identity
		want   string
	}{
		{"west.example.net", nil, "west"},
		{"west.example.net", wish("north"), "west 2"},
		{"west.example.net", wish("198.51.100.1"), "west"}, // RFC 7296 section 1.2: we may answer with another identity
		{"south.example.net", nil, "wild"},
		{"192.0.2.9", nil, "any"},
	} {
		got, err := Select(all, identity(t, tt.remote), tt.wish)
		if err != nil || got.Name != tt.want {
			t.Errorf("%s, %v: %v, %v, want %s", tt.remote, tt.wish, got, err, tt.want)
		}
	}
	_, err := Select(all[1:3], identity(t, "south.example.org"), nil)
	var se *SelectError
	const want = `policy: no connection expects peer fqdn:south.example.org: connection "wild" expects fqdn:*.example.net, connection "west" expects fqdn:west.example.net: ` +
		`set the remote identity to what the peer claims, or mend the peer's`
	if !errors.As(err, &se) || err.Error() != want || len(se.Expected) != 2 {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := Select(nil, identity(t, "west"), nil); err == nil || !strings.Contains(err.Error(), "no connection for peer fqdn:west at these addresses") {
		t.Errorf("without candidates: %v", err)
	}
}
