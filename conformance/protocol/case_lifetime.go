package protocol

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// trusting makes the daemon trust an authentication for an hour.
var trusting = Settings{Reauth: time.Hour}

// The lifetime of an authentication (RFC 4478), and reauthentication (RFC 7296 section 2.8.3).
var lifetimeCases = []Case{
	{IDs: ids("RFC4478-2", "RFC4478-3"), Title: "The daemon as the responder says AUTH_LIFETIME, of four octets, in its IKE_AUTH response.", Run: saysLifetime, Settings: trusting},
	{IDs: ids("RFC4478-2"), Title: "Ordered to reauthenticate a peer that began, the daemon asks for it with AUTH_LIFETIME; the SA that the peer then makes from the beginning replaces the old one.", Run: asksToReauthenticate, Settings: trusting},
	{IDs: ids("RFC4478-2", "RFC4478-3"), Title: "The daemon as the initiator begins anew before AUTH_LIFETIME is over, proves itself again, and deletes the old IKE SA when the new one has its child.", Run: reauthenticates},
	{IDs: ids("RFC4478-2"), Title: "AUTH_LIFETIME in an INFORMATIONAL request does so, too; twenty of them make the daemon call once.", Run: reauthenticatesOnce},
	{IDs: ids("RFC4478-2", "RFC4478-3"), Title: "AUTH_LIFETIME of a wrong length, or from a peer that began the IKE SA, changes nothing.", Run: oddLifetimes},
	{IDs: ids("RFC4478-2"), Title: "When reauthentication fails, the IKE SA that is there lives on.", Run: reauthenticationFails},
}

func authLifetime(seconds uint32) peer.Payload {
	return peer.NotifyPayload(peer.AuthLifetime, binary.BigEndian.AppendUint32(nil, seconds)...)
}

func saysLifetime(t *T) {
	sa := t.begin()
	answer := sa.ask(sa.claim())
	sa.admitted(answer)
	n, ok := answer.Notify(peer.AuthLifetime)
	if !ok || len(n.Data) != 4 || n.Protocol != 0 || binary.BigEndian.Uint32(n.Data) != uint32(t.settings.Reauth.Seconds()) {
		t.Errorf("AUTH_LIFETIME is %+v (%v)", n, ok)
	}
}

func asksToReauthenticate(t *T) {
	sa := t.up()
	t.order(Reauth)
	m := sa.request(peer.Informational)
	if n, ok := m.Notify(peer.AuthLifetime); !ok || len(n.Data) != 4 {
		t.Fatalf("want AUTH_LIFETIME: %v", m)
	}
	sa.answer(m)
	fresh := t.up()
	if gone, ok := t.receive(silence, sa.ours); ok { // the daemon may end the old one itself
		m, _ := sa.open(gone)
		if _, deletes := m.Deletes(peer.ProtoIKE); !deletes {
			t.Errorf("want a Delete of the old IKE SA: %v", m)
		}
		sa.Theirs++
		sa.answer(m)
	} else {
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
	t.counts(1, 1)
	t.forget()
	fresh.alive()
}

// shortLived is an SA of the daemon, whose IKE_AUTH response says how long it is trusted.
func (t *T) shortLived(seconds uint32) *SA {
	sa, auth := t.greeted()
	sa.answer(auth, slices.Concat(sa.grant(), sa.grantChild(auth), []peer.Payload{authLifetime(seconds)})...)
	t.counts(1, 1)
	return sa
}

// replaced brings up the SA that the daemon makes from the beginning, and takes the Delete of the old one.
func (sa *SA) replaced() {
	t := sa.t
	fresh, call := t.called()
	fresh.completes(call)
	gone := sa.request(peer.Informational)
	if _, deletes := gone.Deletes(peer.ProtoIKE); !deletes {
		t.Fatalf("want a Delete of the old IKE SA: %v", gone)
	}
	sa.answer(gone)
	t.counts(1, 1)
	fresh.alive()
}

func reauthenticates(t *T) { t.shortLived(1).replaced() }

func reauthenticatesOnce(t *T) {
	sa := t.upByDaemon()
	for range 20 {
		sa.inform(authLifetime(1))
	}
	sa.replaced()
	t.quiet()
}

func oddLifetimes(t *T) {
	sa := t.upByDaemon()
	for _, data := range [][]byte{nil, {0}, {0, 0, 1}, {0, 0, 0, 0, 1}} {
		if m := sa.inform(peer.NotifyPayload(peer.AuthLifetime, data...)); len(m.Payloads) != 0 {
			t.Errorf("AUTH_LIFETIME of %d octets is answered %v", len(data), m)
		}
	}
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	t.counts(0, 0)
	ours := t.begin()
	m := ours.claim()
	m.Payloads = append(m.Payloads, authLifetime(1))
	ours.admitted(ours.ask(m))
	ours.inform(authLifetime(1))
	pause(6 * time.Second) // longer than what the daemon takes at least (see reauthenticates)
	t.nothingCame()
	ours.alive()
}

func reauthenticationFails(t *T) {
	sa := t.upByDaemon()
	sa.inform(authLifetime(1))
	fresh, call := t.called()
	fresh.accept(call, fresh.welcome(call))
	auth := fresh.request(peer.IKEAuth)
	fresh.answer(auth, peer.NotifyPayload(peer.AuthenticationFailed))
	t.quiet()
	sa.alive()
	t.counts(1, 1)
}
