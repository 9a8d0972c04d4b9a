package control

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

func TestRekeyingIsToldInSentences(t *testing.T) {
	t.Parallel()
	child := event.ChildSA{Name: "lan", SPIIn: "0000aaaa", SPIOut: "0000bbbb", Suite: "AES_GCM_16_256"}
	prev := event.UID{1}
	for want, e := range map[string]event.Event{
		"IKE SA rekeyed by the peer: this one takes the place of " + prev.String():  event.IKERekeyed{Prev: prev, By: "peer"},
		"both sides rekeyed the IKE SA at once: " + prev.String() + " stays":        event.IKERekeyCollision{Kept: prev, By: "us"},
		"IKE SA expired: its lifetime of 4h0m0s is over":                            event.IKEExpired{Lifetime: "4h0m0s"},
		`child "lan" rekeyed by us: AES_GCM_16_256, SPIs 0000aaaa in, 0000bbbb out`: event.ChildRekeyed{Child: child, By: "us"},
		`child "lan" expired: as many packets as it may last`:                       event.ChildExpired{Child: child, Cause: "packets"},
		`child "lan" expired: as many seconds as it may last`:                       event.ChildExpired{Child: child, Cause: "time"},
		"IKE SA deleted by rekeying: a new one took its place":                      event.IKEDeleted{By: "rekey", Reason: "a new one took its place"},
	} {
		if got := Sentence(e); !strings.HasPrefix(got, want) {
			t.Errorf("%T: got %q, want %q", e, got, want)
		}
	}
}

// An IKE SA that took the place of another is up with the children of that, and the old one did not fail.
func TestARekeyedIKESAIsUpAndItsPredecessorWasRekeyed(t *testing.T) {
	t.Parallel()
	old, now := event.UID{1}, event.UID{2}
	s := newStories()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	record := func(uid event.UID, e event.Event) {
		s.add(event.Record{Time: at, Subject: event.Subject{IKE: uid, Conn: "west"}, Event: e})
	}
	record(old, event.IKEInitiated{})
	record(old, event.IKEEstablished{})
	record(now, event.IKERekeyed{Prev: old, By: "us"})
	record(now, event.ChildFailed{Name: "dmz", Reason: "no"})
	record(old, event.IKEDeleted{By: "rekey"})
	of1 := event.UID{3} // in IKEv1 the children of a replaced SA move as they are
	record(of1, event.IKEEstablished{IKE: event.IKESA{Version: 1}})
	record(of1, event.IKEReauthenticated{IKE: event.IKESA{Version: 1}, Old: event.UID{4}})
	record(of1, event.ChildFailed{Name: "dmz", Reason: "no"})
	for uid, want := range map[event.UID]string{old: "rekeyed", now: "up", of1: "up"} {
		if got := tell("west", connection{name: "west"}, nil, s.byUID[uid], nil); got.Code != want {
			t.Errorf("%v: %s, want %s", uid, got.Code, want)
		}
	}
}
