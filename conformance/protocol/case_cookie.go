package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// wary makes the daemon ask everyone for a cookie, once there is a half-open SA.
var wary = Settings{Cookies: true}

// Cookies and floods, with the daemon as the responder (RFC 7296 section 2.6).
var cookieCases = []Case{
	{IDs: ids("RFC7296-2.6-2", "RFC7296-2.6-3"), Title: "A daemon that asks for cookies gives one of 1 to 64 octets and no SPI of its own; with it, the SA is made.", Run: cookie, Settings: wary},
	{IDs: ids("RFC7296-2.6-5"), Title: "A wrong cookie is answered by a new one, not by an error.", Run: wrongCookie, Settings: wary},
	{IDs: ids("RFC7296-2.6-5"), Title: "A cookie does not serve for another nonce, another SPI or another address.", Run: borrowedCookie, Settings: wary},
	{IDs: ids("RFC7296-2.6.1-1"), Title: "A cookie together with a corrected KE is taken at once.", Run: cookieWithKE, Settings: wary},
	{IDs: ids("RFC7296-2.6-3"), Title: "A cookie that is not the first payload, empty, or too long does no harm.", Run: misplacedCookie, Settings: wary},
	{IDs: ids("RFC7296-2.6-2"), Title: "Among many half-open SAs the daemon begins to ask for cookies, and serves who returns one.", Run: halfOpenFlood},
	{IDs: ids("RFC7296-2.4-5", "RFC7296-2.6-2"), Title: "A flood of first messages is not answered with more octets than it has, and an honest peer is served meanwhile.", Run: initFlood, Settings: wary},
}

// halfOpens leaves half-open SAs behind, until the daemon asks for cookies.
func (t *T) halfOpens(most int) {
	for range most {
		sa := t.newSA(usual)
		if _, asked := sa.greetOnce(sa.hello()).Notify(peer.Cookie); asked {
			return
		}
	}
	t.Fatalf("%d half-open SAs, and no cookie is asked for", most)
}

// cookieFor sends a first message and returns the cookie that it is asked for.
func (sa *SA) cookieFor(m peer.Message) []byte {
	answer := sa.greetOnce(m)
	n, ok := answer.Notify(peer.Cookie)
	if !ok || len(answer.Payloads) != 1 || answer.SPIr != 0 || len(n.Data) < 1 || len(n.Data) > 64 {
		sa.t.Fatalf("want a cookie of 1 to 64 octets alone and no responder SPI: %v with %x, %d octets", answer, answer.SPIr, len(n.Data))
	}
	return n.Data
}

// withCookie returns a first message with a cookie in front.
func withCookie(m peer.Message, c []byte) peer.Message {
	m.Payloads = slices.Insert(slices.Clone(m.Payloads), 0, peer.NotifyPayload(peer.Cookie, c...))
	return m
}

func cookie(t *T) {
	t.halfOpens(4)
	sa := t.newSA(usual)
	m := sa.hello()
	sa.agree(sa.greetOnce(withCookie(m, sa.cookieFor(m))))
	sa.admitted(sa.ask(sa.claim()))
}

func wrongCookie(t *T) {
	t.halfOpens(4)
	sa := t.newSA(usual)
	m := sa.hello()
	right := sa.cookieFor(m)
	for _, wrong := range [][]byte{peer.Random(len(right)), right[1:], {1}, append(slices.Clone(right), 0)} {
		sa.cookieFor(withCookie(m, wrong))
	}
	sa.agree(sa.greetOnce(withCookie(m, right)))
	sa.admitted(sa.ask(sa.claim()))
}

func borrowedCookie(t *T) {
	t.halfOpens(4)
	sa := t.newSA(usual)
	right := sa.cookieFor(sa.hello())
	other := t.newSA(usual)
	other.cookieFor(withCookie(other.hello(), right))
	other.SPIi = sa.SPIi
	other.cookieFor(withCookie(other.hello(), right))
	same := t.newSA(usual)
	same.SPIi, same.Ni = sa.SPIi, sa.Ni
	same.agree(same.greetOnce(withCookie(same.hello(), right))) // KE is not part of it: the group may change
}

func cookieWithKE(t *T) {
	t.halfOpens(4)
	sa := t.newSA(usual)
	m := sa.hello()
	c := sa.cookieFor(m)
	sa.Suite.Method, sa.half = peer.P256, peer.NewExchange(peer.P256)
	sa.agree(sa.greetOnce(withCookie(sa.hello(), c)))
	sa.admitted(sa.ask(sa.claim()))
}

func misplacedCookie(t *T) {
	t.halfOpens(4)
	sa := t.newSA(usual)
	m := sa.hello()
	c := sa.cookieFor(m)
	sa.cookieFor(withCookie(m, nil))
	sa.cookieFor(withCookie(m, peer.Random(65)))
	last := m
	last.Payloads = append(slices.Clone(m.Payloads), peer.NotifyPayload(peer.Cookie, c...))
	sa.agree(sa.greetOnce(last)) // payload order is no reason to reject (RFC 7296 section 2.5)
	sa.admitted(sa.ask(sa.claim()))
}

func halfOpenFlood(t *T) {
	t.halfOpens(300)
	sa := t.newSA(usual)
	m := sa.hello()
	sa.agree(sa.greetOnce(withCookie(m, sa.cookieFor(m))))
	sa.admitted(sa.ask(sa.claim()))
}

func initFlood(t *T) {
	sent, got := 0, 0
	for range 500 {
		sa := &SA{SA: &peer.SA{Suite: usual, SPIi: peer.SPI64(), Ni: peer.Random(32)}, t: t, half: &peer.Exchange{Method: peer.X25519, Public: peer.Random(32)}, way: t.path(peer.PortIKE)}
		b := sa.hello().Encode()
		sent += len(b)
		t.must(sa.way.from.Send(sa.way.to, b))
	}
	for {
		d, ok := t.receive(silence, anyDatagram)
		if !ok {
			break
		}
		got += len(d.Bytes)
	}
	if got > sent {
		t.Errorf("%d octets answer %d", got, sent)
	}
	sa := t.newSA(usual)
	sa.way = t.from(4501, peer.PortIKE)
	m := sa.hello()
	for range 20 { // the answers of a source are so many in a second
		t.send(sa.way, m.Encode())
		d, ok := t.receive(silence, func(d peer.Datagram) bool { h, err := peer.Header(d.Bytes); return err == nil && h.SPIi == sa.SPIi })
		if !ok {
			continue
		}
		n, _ := t.decode(d).Notify(peer.Cookie)
		sa.agree(sa.greetOnce(withCookie(m, n.Data)))
		sa.admitted(sa.ask(sa.claim()))
		return
	}
	t.Errorf("after the flood an honest peer is not served")
}
