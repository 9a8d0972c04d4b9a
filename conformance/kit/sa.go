package kit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// SAFixture is what the SA backend suite works with. The suite makes and removes children of an owner of its own.
type SAFixture struct {
	Plugin sa.Plugin
	// Local and Remote are outer addresses that the backend can use here; zero: 192.0.2.1 and 192.0.2.2.
	Local, Remote netip.Addr
	// Many is how many children the suite installs at once; 0: 64.
	Many int
}

// SA runs every check of the SA backend contract.
func SA(t *testing.T, f SAFixture) {
	t.Helper()
	run(t, SAChecks(), f)
}

// SAChecks returns the checks of the SA backend contract.
func SAChecks() []Check[SAFixture] {
	return []Check[SAFixture]{
		{"the probe tells what can be done and changes nothing", "sdk/sa Capabilities", saProbe},
		{"SPIs are distinct and none is reserved", "RFC 4303 section 2.1", saSPIs},
		{"a child lives: installed, listed, used, removed", "sdk/sa Plugin", saLives},
		{"every algorithm of the probe can be installed", "sdk/sa Capabilities", saAlgorithms},
		{"the same child again changes nothing", "sdk/sa Plugin", saIdempotent},
		{"removing what is not there is a success", "sdk/sa Plugin", saRemoveTwice},
		{"owners do not meet", "sdk/sa Plugin", saOwners},
		{"a new child for the same selectors stays when the old one goes", "RFC 7296 section 2.8", saRekey},
		{"a child that is held back sends after its update", "RFC 7296 section 2.8", saHeld},
		{"an update moves a child", "RFC 4555 section 3.5", saMoves},
		{"an update of what is not there installs it", "sdk/sa Plugin", saUpdateLost},
		{"an SPI is given back, but not that of a child", "sdk/sa Plugin", saFree},
		{"traps are set as a whole, beneath children", "sdk/sa Trapper", saTraps},
		{"what cannot be done is unsupported and leaves nothing", "sdk ErrUnsupported", saUnsupported},
		{"arguments and results belong to the caller", "sdk/sa Plugin", saOwned},
		{"many children at the same time", "sdk/sa Plugin", saMany},
		{"a call whose context ended is not performed", "sdk/sa Plugin", saCanceled},
	}
}

const (
	kitOwner   = "parley-conformance"
	otherOwner = "parley-conformance-other"

	defaultMany   = 64
	defaultWindow = 64
)

func (f SAFixture) addresses() (local, remote netip.Addr) {
	if !f.Local.IsValid() {
		return netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	}
	return f.Local, f.Remote
}

// child describes a new child with the first AEAD or else the first pair of algorithms that the backend can do; n tells
// its selectors from those of others.
func (f SAFixture) child(ctx context.Context, n int) (sa.Child, error) {
	suites, err := f.suites(ctx)
	if err != nil {
		return sa.Child{}, err
	}
	return f.childWith(ctx, n, suites[0])
}

// saSuite is a combination of ESP algorithms with the octets of their keys.
type saSuite struct {
	encr, keyBits, integ uint16
	encrLen, integLen    int
	window               uint32
}

func (f SAFixture) childWith(ctx context.Context, n int, s saSuite) (sa.Child, error) {
	local, remote := f.addresses()
	spi, err := f.Plugin.AllocateSPI(ctx, local, remote)
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

func random(n int) secret.Bytes {
	if n == 0 {
		return nil
	}
	b := make(secret.Bytes, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// saCiphers are the ciphers whose keys the kit can make: salt octets, and key bits where the ID alone fixes them.
var saCiphers = map[uint16]struct {
	salt, bits int
	aead       bool
}{12: {}, 20: {salt: 4, aead: true}, 28: {salt: 4, bits: 256, aead: true}}

var saIntegrities = map[uint16]int{2: 20, 12: 32, 13: 48, 14: 64}

// suites are all combinations of what the probe lists and the kit knows.
func (f SAFixture) suites(ctx context.Context) ([]saSuite, error) {
	capabilities, err := f.Plugin.Probe(ctx)
	if err != nil {
		return nil, err
	}
	var aead, pairs []saSuite
	for _, a := range capabilities.Algorithms {
		cipher, ok := saCiphers[a.ID]
		if a.Type != 1 || !ok {
			continue
		}
		sizes := a.KeyBits
		if sizes == nil {
			sizes = []uint16{0}
		}
		for _, bits := range sizes {
			s := saSuite{window: min(defaultWindow, capabilities.MaxReplayWindow), encr: a.ID, keyBits: bits, encrLen: max(int(bits), cipher.bits)/8 + cipher.salt}
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

func withIntegrity(s saSuite, algorithms []sa.Algorithm) (suites []saSuite) {
	for _, a := range algorithms {
		if size, ok := saIntegrities[a.ID]; a.Type == 3 && ok {
			s.integ, s.integLen = a.ID, size
			suites = append(suites, s)
		}
	}
	return suites
}

// with installs a child, runs f and removes the child whatever happens.
func (f SAFixture) with(ctx context.Context, c sa.Child, then func() error) error {
	if err := f.Plugin.Install(ctx, c); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	problem := then()
	_, err := f.Plugin.Remove(ctx, c)
	return errors.Join(problem, err)
}

// listed says how often a child is in an owner's list.
func (f SAFixture) listed(ctx context.Context, owner string, c sa.Child) (int, error) {
	list, err := f.Plugin.List(ctx, owner)
	n := 0
	for _, have := range list {
		if have.UID == c.UID {
			n++
		}
	}
	return n, err
}

func (f SAFixture) wantListed(ctx context.Context, owner string, c sa.Child, want int) error {
	if n, err := f.listed(ctx, owner, c); err != nil || n != want {
		return fmt.Errorf("child with SPI %08x is listed %d times for %q, want %d, error %v", c.SPIIn, n, owner, want, err)
	}
	return nil
}

func saProbe(ctx context.Context, f SAFixture) error {
	a, err := f.Plugin.Probe(ctx)
	if err != nil {
		return err
	}
	if a.Name == "" || a.Reason == "" || len(a.Modes) == 0 || len(a.Algorithms) == 0 || a.Offload == "" {
		return fmt.Errorf("incomplete: %+v", a)
	}
	if !a.Usable {
		return fmt.Errorf("not usable here: %s", a.Reason)
	}
	b, err := f.Plugin.Probe(ctx)
	if err != nil || !reflect.DeepEqual(a, b) {
		return fmt.Errorf("a second probe tells %+v, the first %+v, error %v", b, a, err)
	}
	return nil
}

func saSPIs(ctx context.Context, f SAFixture) error {
	local, remote := f.addresses()
	seen := map[uint32]bool{}
	for range 256 {
		spi, err := f.Plugin.AllocateSPI(ctx, local, remote)
		if err != nil {
			return err
		}
		if spi < 256 || seen[spi] {
			return fmt.Errorf("SPI %08x is reserved or was given out before", spi)
		}
		seen[spi] = true
	}
	return nil
}

func saLives(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.with(ctx, c, func() error { return f.looksLike(ctx, c) }); err != nil {
		return err
	}
	if _, err := f.Plugin.Usage(ctx, c); err == nil {
		return errors.New("a removed child has counters")
	}
	return f.wantListed(ctx, kitOwner, c, 0)
}

// looksLike compares what the core reconciles by.
func (f SAFixture) looksLike(ctx context.Context, c sa.Child) error {
	if _, err := f.Plugin.Usage(ctx, c); err != nil {
		return fmt.Errorf("usage: %w", err)
	}
	list, err := f.Plugin.List(ctx, kitOwner)
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

func saAlgorithms(ctx context.Context, f SAFixture) error {
	suites, err := f.suites(ctx)
	if err != nil {
		return err
	}
	for n, s := range suites {
		c, err := f.childWith(ctx, n, s)
		if err == nil {
			err = f.with(ctx, c, func() error { return nil })
		}
		if err != nil {
			return fmt.Errorf("encryption %d with %d bits, integrity %d: %w", s.encr, s.keyBits, s.integ, err)
		}
	}
	return nil
}

func saIdempotent(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		if err := f.Plugin.Install(ctx, c); err != nil {
			return fmt.Errorf("install again: %w", err)
		}
		return f.wantListed(ctx, kitOwner, c, 1)
	})
}

func saRemoveTwice(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := f.Plugin.Remove(ctx, c); err != nil {
		return fmt.Errorf("never installed: %w", err)
	}
	if err := f.with(ctx, c, func() error { return nil }); err != nil {
		return err
	}
	_, err = f.Plugin.Remove(ctx, c)
	return err
}

func saOwners(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		theirs := c
		theirs.Owner = otherOwner
		_, err := f.Plugin.Remove(ctx, theirs)
		return errors.Join(err, f.wantListed(ctx, otherOwner, c, 0), f.wantListed(ctx, kitOwner, c, 1))
	})
}

func saRekey(ctx context.Context, f SAFixture) error {
	before, errBefore := f.child(ctx, 0)
	after, errAfter := f.child(ctx, 0)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	if err := f.Plugin.Install(ctx, before); err != nil {
		return err
	}
	return f.with(ctx, after, func() error {
		problem := errors.Join(f.wantListed(ctx, kitOwner, before, 1), f.wantListed(ctx, kitOwner, after, 1))
		_, err := f.Plugin.Remove(ctx, before)
		return errors.Join(problem, err, f.wantListed(ctx, kitOwner, before, 0), f.looksLike(ctx, after))
	})
}

func saHeld(ctx context.Context, f SAFixture) error {
	before, errBefore := f.child(ctx, 0)
	after, errAfter := f.child(ctx, 0)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	after.ReqID, after.Held = before.ReqID, true
	if err := f.Plugin.Install(ctx, before); err != nil {
		return err
	}
	return f.with(ctx, after, func() error {
		problem := f.looksLike(ctx, after)
		after.Held = false
		problem = errors.Join(problem, f.Plugin.Update(ctx, after), f.looksLike(ctx, after), f.looksLike(ctx, before))
		_, err := f.Plugin.Remove(ctx, before)
		return errors.Join(problem, err, f.looksLike(ctx, after))
	})
}

func saMoves(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	moved := c
	moved.Remote = c.Remote.Next()
	return f.with(ctx, c, func() error {
		for range 2 { // the second time changes nothing
			if err := f.Plugin.Update(ctx, moved); err != nil {
				return err
			}
			if err := errors.Join(f.looksLike(ctx, moved), f.wantListed(ctx, kitOwner, moved, 1)); err != nil {
				return err
			}
		}
		return errors.Join(f.Plugin.Update(ctx, c), f.looksLike(ctx, c)) // and back
	})
}

func saUpdateLost(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.Plugin.Update(ctx, c); err != nil {
		return err
	}
	problem := f.looksLike(ctx, c)
	_, err = f.Plugin.Remove(ctx, c)
	return errors.Join(problem, err, f.wantListed(ctx, kitOwner, c, 0))
}

func saFree(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	for range 2 { // the second time it is not there
		if err := f.Plugin.FreeSPI(ctx, c.Local, c.Remote, c.SPIIn); err != nil {
			return err
		}
	}
	if c, err = f.child(ctx, 0); err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		return errors.Join(f.Plugin.FreeSPI(ctx, c.Local, c.Remote, c.SPIIn), f.looksLike(ctx, c))
	})
}

func saTraps(ctx context.Context, f SAFixture) error {
	capabilities, err := f.Plugin.Probe(ctx)
	if err != nil {
		return err
	}
	trapper, ok := f.Plugin.(sa.Trapper)
	if !capabilities.Traps || !ok {
		if capabilities.Traps {
			return errors.New("the probe tells of traps, and there are none")
		}
		return nil
	}
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	trap := func(n int) sa.Trap {
		return sa.Trap{Conn: c.Conn, Name: c.Name, Local: c.Local, Remote: c.Remote, LocalTS: selector(10, n), RemoteTS: selector(11, n)}
	}
	for _, set := range [][]sa.Trap{{trap(0), trap(1)}, {trap(0), trap(1)}, {trap(0)}} {
		if err := trapper.SetTraps(ctx, kitOwner, set); err != nil {
			return fmt.Errorf("setting %d traps: %w", len(set), err)
		}
	}
	problem := f.with(ctx, c, func() error {
		return errors.Join(f.looksLike(ctx, c), trapper.SetTraps(ctx, otherOwner, nil))
	})
	bad := trap(0)
	bad.LocalTS = nil
	if trapper.SetTraps(ctx, kitOwner, []sa.Trap{bad}) == nil {
		problem = errors.Join(problem, errors.New("a trap without selectors was set"))
	}
	return errors.Join(problem, trapper.SetTraps(ctx, kitOwner, nil), wantCanceled("set traps", trapper.SetTraps(canceled(ctx), kitOwner, nil)))
}

func saUnsupported(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	encr, integ := c, c
	encr.Encr = 1023 // the last before private use
	integ.Integ = 1023
	var problems []error
	for what, wrong := range map[string]sa.Child{"encryption 1023": encr, "integrity 1023": integ} {
		problems = append(problems, wantError(what, f.Plugin.Install(ctx, wrong), sdk.ErrUnsupported), f.wantListed(ctx, kitOwner, wrong, 0))
	}
	return errors.Join(append(problems, saSettings(ctx, f, c))...)
}

// saSettings asks for settings that the backend has not told of.
func saSettings(ctx context.Context, f SAFixture, c sa.Child) error {
	can, err := f.Plugin.Probe(ctx)
	if err != nil {
		return err
	}
	problems := []error{}
	for name, h := range map[string]sa.Handling{sa.SettingMark: {Mark: 1, MarkMask: 1}, sa.SettingOutputMark: {OutputMark: 1, OutputMarkMask: 1}, sa.SettingIfID: {IfID: 1},
		sa.SettingDF: {ClearDF: true}, sa.SettingECN: {IgnoreECN: true}, sa.SettingDSCP: {DSCP: sa.DSCPNone}, sa.SettingOffload: {Offload: sa.OffloadAuto}} {
		if wrong := c; !slices.Contains(can.Settings, name) {
			wrong.Handling = h
			problems = append(problems, wantError("setting "+name, f.Plugin.Install(ctx, wrong), sdk.ErrUnsupported), f.wantListed(ctx, kitOwner, wrong, 0))
		}
	}
	return errors.Join(problems...)
}

func saOwned(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	mine := c
	mine.EncrIn, mine.EncrOut, mine.IntegIn, mine.IntegOut = c.EncrIn.Clone(), c.EncrOut.Clone(), c.IntegIn.Clone(), c.IntegOut.Clone()
	return f.with(ctx, mine, func() error {
		for _, k := range []secret.Bytes{mine.EncrIn, mine.EncrOut, mine.IntegIn, mine.IntegOut} {
			k.Wipe() // as the core does once the backend has answered
		}
		if err := f.Plugin.Install(ctx, c); err != nil {
			return fmt.Errorf("after the keys of the first call were wiped, the same child again: %w", err)
		}
		return nil
	})
}

func saMany(ctx context.Context, f SAFixture) error {
	many := f.Many
	if many == 0 {
		many = defaultMany
	}
	return together(func(worker int) error {
		var problems []error
		for n := worker; n < many; n += Concurrency {
			c, err := f.child(ctx, n)
			if err == nil {
				err = f.with(ctx, c, func() error { return f.wantListed(ctx, kitOwner, c, 1) })
			}
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
}

func saCanceled(ctx context.Context, f SAFixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	_, allocate := f.Plugin.AllocateSPI(canceled(ctx), c.Local, c.Remote)
	install := f.Plugin.Install(canceled(ctx), c)
	update := f.Plugin.Update(canceled(ctx), c)
	_, list := f.Plugin.List(canceled(ctx), kitOwner)
	_, remove := f.Plugin.Remove(ctx, c)
	return errors.Join(wantCanceled("allocate an SPI", allocate), wantCanceled("install", install), wantCanceled("update", update), wantCanceled("list", list), remove)
}
