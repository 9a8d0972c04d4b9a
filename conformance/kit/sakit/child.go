package sakit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

const (
	kitOwner   = "parley-conformance"
	otherOwner = "parley-conformance-other"

	defaultMany   = 64
	defaultWindow = 64
)

func (f Fixture) addresses() (local, remote netip.Addr) {
	if !f.Local.IsValid() {
		return netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	}
	return f.Local, f.Remote
}

// child describes a new child with the first AEAD or else the first pair of algorithms that the backend can do; n tells
// its selectors from those of others.
func (f Fixture) child(ctx context.Context, n int) (sa.Child, error) {
	suites, err := f.suites(ctx)
	if err != nil {
		return sa.Child{}, err
	}
	return f.childWith(ctx, n, suites[0])
}

// suite is a combination of ESP algorithms with the octets of their keys.
type suite struct {
	encr, keyBits, integ uint16
	encrLen, integLen    int
	window               uint32
}

func (f Fixture) childWith(ctx context.Context, n int, s suite) (sa.Child, error) {
	local, remote := f.addresses()
	spi, err := f.plugin().AllocateSPI(ctx, local, remote)
	if err != nil {
		return sa.Child{}, fmt.Errorf("allocate an SPI: %w", err)
	}
	var uid sa.UID
	copy(uid[:], random(len(uid)))
	return sa.Child{
		UID: uid, Owner: kitOwner, Conn: "kit", Name: "kit", ReqID: uint32(n + 1),
		SPIIn: spi, SPIOut: spi ^ 0x5a5a0000 | 0x1000, Mode: sa.Tunnel, Local: local, Remote: remote,
		Encr: s.encr, KeyBits: s.keyBits, Integ: s.integ, ReplayWindow: s.window,
		EncrIn: random(s.encrLen), EncrOut: random(s.encrLen), IntegIn: random(s.integLen), IntegOut: random(s.integLen),
		LocalTS: selector(10, n), RemoteTS: selector(11, n),
	}, nil
}

// selector is all of 198.18+net.x.y/32 of the range for benchmarks (RFC 2544), any protocol.
func selector(net byte, n int) []sa.Selector {
	addr := netip.AddrFrom4([4]byte{198, 18 + net%2, byte(n >> 8), byte(n)})
	return []sa.Selector{{EndPort: 65535, Start: addr, End: addr}}
}

// host is all that an address sends or gets.
func host(a netip.Addr) []sa.Selector { return []sa.Selector{{EndPort: 65535, Start: a, End: a}} }

func random(n int) secret.Bytes {
	if n == 0 {
		return nil
	}
	b := make(secret.Bytes, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// ciphers are the ciphers whose keys the kit can make: salt octets, and key bits where the ID alone fixes them.
var ciphers = map[uint16]struct {
	salt, bits int
	aead       bool
}{12: {}, 20: {salt: 4, aead: true}, 28: {salt: 4, bits: 256, aead: true}}

var integrities = map[uint16]int{2: 20, 12: 32, 13: 48, 14: 64}

// suites are all combinations of what the probe lists and the kit knows.
func (f Fixture) suites(ctx context.Context) ([]suite, error) {
	capabilities, err := f.plugin().Probe(ctx)
	if err != nil {
		return nil, err
	}
	var aead, pairs []suite
	for _, a := range capabilities.Algorithms {
		cipher, ok := ciphers[a.ID]
		if a.Type != 1 || !ok {
			continue
		}
		sizes := a.KeyBits
		if sizes == nil {
			sizes = []uint16{0}
		}
		for _, bits := range sizes {
			s := suite{window: min(defaultWindow, capabilities.MaxReplayWindow), encr: a.ID, keyBits: bits, encrLen: max(int(bits), cipher.bits)/8 + cipher.salt}
			if cipher.aead {
				aead = append(aead, s)
			} else {
				pairs = append(pairs, withIntegrity(s, capabilities.Algorithms)...)
			}
		}
	}
	if suites := append(aead, pairs...); suites != nil {
		return suites, nil
	}
	return nil, fmt.Errorf("the probe lists no algorithm that the kit knows: %+v", capabilities.Algorithms)
}

func withIntegrity(s suite, algorithms []sa.Algorithm) (suites []suite) {
	for _, a := range algorithms {
		if size, ok := integrities[a.ID]; a.Type == 3 && ok {
			s.integ, s.integLen = a.ID, size
			suites = append(suites, s)
		}
	}
	return suites
}

// with installs a child, runs f and removes the child whatever happens.
func (f Fixture) with(ctx context.Context, c sa.Child, then func() error) error {
	if err := f.plugin().Install(ctx, c); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	problem := then()
	_, err := f.plugin().Remove(ctx, c)
	return errors.Join(problem, err)
}

// listed says how often a child is in an owner's list.
func (f Fixture) listed(ctx context.Context, owner string, c sa.Child) (int, error) {
	list, err := f.plugin().List(ctx, owner)
	n := 0
	for _, have := range list {
		if have.UID == c.UID {
			n++
		}
	}
	return n, err
}

func (f Fixture) wantListed(ctx context.Context, owner string, c sa.Child, want int) error {
	if n, err := f.listed(ctx, owner, c); err != nil || n != want {
		return fmt.Errorf("child with SPI %08x is listed %d times for %q, want %d, error %v", c.SPIIn, n, owner, want, err)
	}
	return nil
}

// looksLike compares what the core reconciles by.
func (f Fixture) looksLike(ctx context.Context, c sa.Child) error {
	if _, err := f.plugin().Usage(ctx, c); err != nil {
		return fmt.Errorf("usage: %w", err)
	}
	list, err := f.plugin().List(ctx, kitOwner)
	if err != nil {
		return err
	}
	for _, have := range list {
		if have.UID != c.UID {
			continue
		}
		if have.Owner != c.Owner || have.SPIIn != c.SPIIn || have.SPIOut != c.SPIOut || have.Local != c.Local || have.Remote != c.Remote || have.Held != c.Held {
			return fmt.Errorf("listed as SPIs %08x/%08x between %v and %v, held %v; want %08x/%08x between %v and %v, held %v",
				have.SPIIn, have.SPIOut, have.Local, have.Remote, have.Held, c.SPIIn, c.SPIOut, c.Local, c.Remote, c.Held)
		}
		return nil
	}
	return errors.New("not listed")
}
