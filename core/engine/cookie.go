package engine

import (
	"io"
	"time"

	"github.com/parley-ike/parley/sdk/secret"
)

// cookieLife is how long a secret makes new cookies; the one before it is still accepted. RFC 7296 section 2.6 asks for
// frequent changes: a cookie is good for one to two minutes, and a peer uses it within a round trip.
const cookieLife = time.Minute

// CookieKey is a secret that cookies are made with, and its version, which a cookie names (RFC 7296 section 2.6).
type CookieKey struct {
	Version uint8
	Secret  secret.Bytes // 32 octets
}

// cookieKeys holds the present key and the one before.
type cookieKeys struct {
	rand  io.Reader
	keys  [2]CookieKey // the present one first
	until time.Time
}

// at returns both keys at now, the present one first. When they were not used for two lives, both are new.
func (c *cookieKeys) at(now time.Time) [2]CookieKey {
	if now.Before(c.until) {
		return c.keys
	}
	if now.Sub(c.until) >= cookieLife {
		c.rotate()
	}
	c.rotate()
	c.until = now.Add(cookieLife)
	return c.keys
}

func (c *cookieKeys) rotate() {
	fresh := CookieKey{Version: c.keys[0].Version + 1, Secret: make(secret.Bytes, 32)}
	if _, err := io.ReadFull(c.rand, fresh.Secret); err != nil {
		panic("engine: no randomness: " + err.Error()) // crypto/rand never fails
	}
	c.keys = [2]CookieKey{fresh, c.keys[0]}
}
