package control

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

var start = time.Date(2026, 11, 21, 1, 53, 33, 0, time.UTC)

// uid numbers SAs.
func uid(n int) event.UID { return event.UID{14: byte(n >> 8), 15: byte(n), 0: 1, 13: byte(n >> 16)} }

func nobody(netip.Addr) bool    { return false }
func everybody(netip.Addr) bool { return true }

// sa is an IKE SA with a peer whose address is numbered.
func sa(role string, peer int) event.IKESA {
	addr := netip.AddrFrom4([4]byte{198, byte(18 + peer>>16), byte(peer >> 8), byte(peer)})
	return event.IKESA{Version: 2, Role: role, Remote: netip.AddrPortFrom(addr, 500)}
}

func (s *stories) tell(n int, conn string, events ...event.Event) {
	for i, e := range events {
		s.add(event.Record{Time: start.Add(time.Duration(n)*time.Second + time.Duration(i)), Subject: event.Subject{IKE: uid(n), Conn: conn}, Event: e})
	}
}

func failed(sa event.IKESA) event.IKEFailed {
	return event.IKEFailed{IKE: sa, Cause: event.CauseMalformed}
}

func TestAConnectionKeepsItsLastAttemptsOfEachRole(t *testing.T) {
	t.Parallel()
	s := newStories()
	s.tell(0, "west", event.IKEInitiated{IKE: sa("initiator", 1)}, failed(sa("initiator", 1)))
	for n := 1; n <= 100; n++ { // a peer that tries in vain
		s.tell(n, "west", event.IKEInitiated{IKE: sa("responder", 1)}, failed(sa("responder", 1)))
	}
	all := s.of("west", nobody)
	if len(all) != keptAttempts+1 || all[0].uid != uid(100) || all[keptAttempts].uid != uid(0) {
		t.Errorf("%d attempts, first %v, last %v", len(all), all[0].uid, all[len(all)-1].uid)
	}
	if len(s.byUID) != keptAttempts+1 || len(s.strangers) != 0 {
		t.Errorf("%d and %d are remembered", len(s.byUID), len(s.strangers))
	}
}

func TestAnAttemptThatIsUpIsNotPushedOut(t *testing.T) {
	t.Parallel()
	s := newStories()
	s.tell(0, "west", event.IKEInitiated{IKE: sa("responder", 1)}, event.IKEEstablished{IKE: sa("responder", 1)})
	for n := 1; n <= 100; n++ {
		s.tell(n, "west", event.IKEInitiated{IKE: sa("responder", 1)}, failed(sa("responder", 1)))
	}
	all := s.of("west", nobody)
	if last := all[len(all)-1]; last.uid != uid(0) || !last.up {
		t.Errorf("the last is %v", last.uid)
	}
}

func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	s := newStories()
	for n := range 20_000 {
		s.tell(n, "", event.IKEInitiated{IKE: sa("responder", n)})
		if n%2 == 0 {
			s.tell(n, "", failed(sa("responder", n)))
		}
	}
	if n := len(s.byUID); n > 2*(keptOpen+keptStrangers) || n != len(s.strangers) {
		t.Errorf("%d by UID, %d strangers", n, len(s.strangers))
	}
	if all := s.of("", everybody); len(all) == 0 || all[0].uid != uid(19_999) {
		t.Error("the newest is not remembered")
	}
}

func TestAnAttemptIsFiledWhenItsConnectionIsKnown(t *testing.T) {
	t.Parallel()
	s := newStories()
	s.tell(1, "", event.IKEInitiated{IKE: sa("responder", 7)})
	if all := s.of("west", nobody); len(all) != 0 {
		t.Errorf("filed before it was known: %v", all)
	}
	s.tell(1, "west", event.AuthFailed{Side: "remote"})
	if all := s.of("west", nobody); len(all) != 1 || len(all[0].events()) != 2 || len(s.strangers) != 0 {
		t.Errorf("got %v, strangers %v", all, s.strangers)
	}
}

func TestALongAttemptKeepsItsBeginningAndItsEnd(t *testing.T) {
	t.Parallel()
	a := newAttempt(event.Record{Time: start, Subject: event.Subject{IKE: uid(1)}})
	const total = 1000
	for n := range total {
		a.add(event.Record{Sequence: uint64(n), Event: event.IntegrityFailed{Count: uint64(n)}})
	}
	events := a.events()
	if len(events) != firstSteps+lastSteps || a.omitted != total-len(events) || events[0].Sequence != 0 || events[len(events)-1].Sequence != total-1 {
		t.Errorf("%d events, %d left out, %d to %d", len(events), a.omitted, events[0].Sequence, events[len(events)-1].Sequence)
	}
}

func TestRepetitionsOfARequestAreOneStep(t *testing.T) {
	t.Parallel()
	a := newAttempt(event.Record{Time: start})
	for n := 1; n <= 12; n++ {
		a.add(event.Record{Event: event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: n}})
	}
	a.add(event.Record{Event: event.Retransmitted{Exchange: "IKE_AUTH", MessageID: 1, Attempt: 1}})
	if e, _ := a.events()[0].Event.(event.Retransmitted); len(a.events()) != 2 || e.Attempt != 12 {
		t.Errorf("got %v", a.events())
	}
}

func TestAPluginThatIsWellAgainIsNoTrouble(t *testing.T) {
	t.Parallel()
	s := newStories()
	ke, auth := event.PluginRef{Name: "ke"}, event.PluginRef{Name: "auth"}
	for _, e := range []event.Event{event.PluginCrashed{Plugin: ke}, event.PluginCrashed{Plugin: auth}, event.PluginDegraded{Plugin: auth}, event.PluginRestarted{Plugin: ke}} {
		s.add(event.Record{Time: start, Event: e})
	}
	if len(s.troubles) != 1 || s.troubles[0].Event.Kind().Name != "plugin.degraded" {
		t.Errorf("got %v", s.troubles)
	}
}

// TestAnAnswerTakesAccountOfWhatWasPublishedBefore would fail now and then if lock did not wait.
func TestAnAnswerTakesAccountOfWhatWasPublishedBefore(t *testing.T) {
	t.Parallel()
	b := bus.New()
	h := NewHistory(b)
	defer h.Close()
	for n := range 500 {
		b.Publish(event.Record{Event: event.DaemonStopping{}})
		if got := len(h.events()); got != n+1 {
			t.Fatalf("%d events after %d", got, n+1)
		}
	}
}

func TestHistoryKeepsTheLastEvents(t *testing.T) {
	t.Parallel()
	b := bus.New()
	h := NewHistory(b)
	for range keptEvents + 100 {
		b.Publish(event.Record{Time: start, Event: event.DaemonStopping{}})
		runtime.Gosched()
	}
	all := h.events()
	if len(all) != keptEvents || all[0].Sequence != 101 || all[len(all)-1].Sequence != keptEvents+100 {
		t.Errorf("%d events, %d to %d", len(all), all[0].Sequence, all[len(all)-1].Sequence)
	}
	b.Close()
	h.Close()
	if len(h.events()) != keptEvents { // and does not wait for ever
		t.Error("closing forgets")
	}
}

func TestEveryEventHasASentence(t *testing.T) {
	t.Parallel()
	for _, e := range everyEvent {
		if s := Sentence(e); strings.HasPrefix(s, e.Kind().Name) || s == "" {
			t.Errorf("%s: %s", e.Kind().Name, s)
		}
	}
	if got := Sentence(unheardOf{"x", 7}); got != `plugin.unheard_of name="x" n=7` {
		t.Errorf("an event without a sentence: %s", got)
	}
}

// unheardOf is an event that control does not know.
type unheardOf struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

func (unheardOf) Kind() event.Kind { return event.Kind{Name: "plugin.unheard_of"} }

var everyEvent = []event.Event{
	event.IKEInitiated{}, event.IKEStateChanged{}, event.IKEHalfOpenTimedOut{}, event.IKEEstablished{}, event.IKEDeleted{}, event.IKEFailed{},
	event.ChildEstablished{}, event.ChildDeleted{}, event.ChildFailed{}, event.ChildTSMismatch{}, event.ChildTSNarrowed{}, event.ChildInstallFailed{},
	event.AuthSucceeded{}, event.AuthFailed{}, event.AuthMessageReceived{}, event.ProposalMismatch{}, event.WeakAlgorithm{}, event.SuiteChosen{}, event.InvalidKE{}, event.UnsupportedCritical{},
	event.PeerUnreachable{}, event.PeerReachable{}, event.LivenessTimedOut{}, event.Retransmitted{}, event.RetransmitTimedOut{}, event.NATDetected{}, event.NATMappingChanged{}, event.CookieRequested{},
	event.CookieThreshold{}, event.RateLimited{}, event.ParseErrors{}, event.IntegrityFailed{}, event.FragmentFailed{}, event.NotifyReceived{},
	event.PluginStarted{}, event.PluginStopped{}, event.PluginCrashed{}, event.PluginRestarted{}, event.PluginUnhealthy{}, event.PluginDegraded{}, event.PluginRejected{},
	event.TrafficTrapped{}, event.BackendChosen{}, event.BackendReconciled{}, event.PoliciesNotSet{}, event.DaemonStarted{}, event.DaemonReady{}, event.KeysExported{}, event.DaemonStopping{}, event.ConfigRejected{},
	event.PoolLeased{}, event.PoolReleased{}, event.PoolExhausted{}, event.PoolStoreFailed{}, event.PoolStoreMended{},
	event.AddressAssigned{}, event.AddressWithdrawn{}, event.PeerVersion{},
	event.ControlRequested{}, event.StreamGap{}, event.MirrorDown{}, event.MirrorUp{},
}

func TestWhatAPeerChoseIsHarmless(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain – text":       "plain – text",
		"a\x1b[2Jb\nc\td":    `a\x1b[2Jb\x0ac\x09d`,
		"\u009bevil":         `\x9bevil`,
		"broken \xff\xfe":    `broken \xfffd\xfffd`,
		"right\u202eto left": `right\x202eto left`,
	} {
		if got := Sentence(event.DaemonStopping{Reason: in}); got != "stopping: "+want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := Sentence(event.DaemonStopping{Reason: strings.Repeat("x", 1<<20)}); len(got) > maxSentence+len("...") {
		t.Errorf("%d octets", len(got))
	}
}

func TestOverlapsOfSelectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want string }{
		{"10.1.0.0/16", "10.1.4.0/24", "10.1.4.0/24"},
		{"10.1.0.0/16", "10.0.0.0/8", "10.1.0.0/16"},
		{"10.1.0.0/16", "10.2.0.0/16", ""},
		{"10.0.0.1-10.0.0.9", "10.0.0.5-10.0.0.20", "10.0.0.5-10.0.0.9"},
		{"10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.20", "10.0.0.5"},
		{"10.0.0.7", "10.0.0.0/24", "10.0.0.7"},
		{"10.0.0.0/24[tcp/80]", "10.0.0.0/24", "10.0.0.0/24[tcp/80]"},
		{"10.0.0.0/24[tcp/80]", "10.0.0.0/24[udp]", ""},
		{"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::/48"},
		{"10.0.0.0/8", "2001:db8::/32", ""},
		{"nonsense", "10.0.0.0/8", ""},
	} {
		if got := strings.Join(overlaps([]string{tt.a}, []string{tt.b}), " "); got != tt.want {
			t.Errorf("%s and %s: got %q, want %q", tt.a, tt.b, got, tt.want)
		}
		if got := strings.Join(overlaps([]string{tt.b}, []string{tt.a}), " "); got != tt.want {
			t.Errorf("%s and %s: got %q, want %q", tt.b, tt.a, got, tt.want)
		}
	}
	var many []string
	for n := range 255 {
		many = append(many, fmt.Sprintf("10.0.%d.0/24", n))
	}
	if n := len(overlaps(many, many)); n != maxOverlaps {
		t.Errorf("%d overlaps", n)
	}
}

func TestTablesAreAlignedAndWrapped(t *testing.T) {
	t.Parallel()
	got := Table{Indent: " ", Header: []string{"A", "BB"}, Wrap: 9, Rows: [][]string{{"one", "a list, of, words"}, {"µµµµ", ""}, {"x", "y"}}}.Lines()
	const want = " A     BB\n one   a list,\n       of, words\n µµµµ\n x     y\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func BenchmarkStoryOfASuccess(b *testing.B) {
	s := newStories()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range b.N {
		s.tell(n, fmt.Sprint("conn", n), event.IKEInitiated{IKE: sa("initiator", n)}, event.SuiteChosen{Scope: "ike"}, event.NATDetected{}, event.AuthSucceeded{},
			event.SuiteChosen{Scope: "child"}, event.IKEEstablished{IKE: sa("initiator", n)}, event.ChildEstablished{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/connection")
	runtime.KeepAlive(&s)
}
