package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// Limits of the card, which Probe tells, so that nobody proposes more.
const (
	aesGCM16  = 20  // ENCR_AES_GCM_16, IANA
	saltLen   = 4   // octets behind the key (RFC 4106 section 8.1)
	maxWindow = 128 // packets
	minSPI    = 256 // RFC 4303 section 2.1
)

// backend gives children to the card. It keeps nothing itself: what the card has is the truth, also after a restart.
type backend struct{ card *card }

func newBackend(c *card) *backend { return &backend{c} }

// Probe implements sa.Plugin.
func (b *backend) Probe(ctx context.Context) (sa.Capabilities, error) {
	life, taken := b.card.condition()
	return sa.Capabilities{
		Name: "accelerator", Usable: true, Reason: fmt.Sprintf("a card with %d of %d places taken", taken, b.card.places),
		Offload: "packet", Modes: []sa.Mode{sa.Tunnel}, ESN: true, MaxReplayWindow: maxWindow, Epoch: life,
		Algorithms: []sa.Algorithm{{Type: 1, ID: aesGCM16, KeyBits: []uint16{128, 256}}},
	}, ctx.Err()
}

// AllocateSPI implements sa.Plugin. Of four thousand million numbers, chance rarely gives one twice; it is asked for again then.
func (b *backend) AllocateSPI(ctx context.Context, local, _ netip.Addr) (uint32, error) {
	for {
		var raw [4]byte
		_, _ = rand.Read(raw[:]) // never fails
		spi := binary.BigEndian.Uint32(raw[:])
		if spi < minSPI {
			continue
		}
		if _, taken, err := b.card.read(ctx, place{local, spi}); !taken {
			return spi, meaning(err)
		}
	}
}

// FreeSPI implements sa.Plugin: SPIs are drawn, and none is kept for anybody.
func (b *backend) FreeSPI(ctx context.Context, _, _ netip.Addr, _ uint32) error { return ctx.Err() }

// halves are the places of a child's two SAs, the inbound one first.
func halves(c *sa.Child) [2]place {
	return [2]place{{c.Local, c.SPIIn}, {c.Remote, c.SPIOut}}
}

// Install implements sa.Plugin. The inbound SA is there before the outbound one. What exists stays as it is, so that its sequence
// numbers go on; what is missing of a child that was there before is not made anew, because nobody knows its last number.
func (b *backend) Install(ctx context.Context, c sa.Child) error {
	if err := check(&c); err != nil {
		return err
	}
	for i, at := range halves(&c) {
		key := [][]byte{c.EncrIn, c.EncrOut}[i]
		if err := b.put(ctx, at, slot{child: plain(c), out: i == 1, armed: i == 1 && !c.Held, key: bytes.Clone(key)}); err != nil {
			_, undo := b.Remove(context.WithoutCancel(ctx), c)
			return errors.Join(fmt.Errorf("accelerator: child %s of %s: %w", c.Name, c.Conn, meaning(err)), undo)
		}
	}
	return nil
}

// put writes one SA, but not over another's.
func (b *backend) put(ctx context.Context, at place, s slot) error {
	have, there, err := b.card.read(ctx, at)
	switch {
	case err != nil:
		return err
	case there && (have.child.UID != s.child.UID || have.child.Owner != s.child.Owner):
		return fmt.Errorf("SPI %08x is taken: %w", at.spi, sdk.ErrInvalid)
	case there && reflect.DeepEqual(have.child, s.child):
		return nil // the same child again
	}
	return b.card.write(ctx, at, s)
}

// Update implements sa.Plugin: the card changes what it has in place. To another address an SA moves with its numbers, which this card
// cannot: the daemon then gets a new child.
func (b *backend) Update(ctx context.Context, c sa.Child) error { return b.Install(ctx, c) }

// Remove implements sa.Plugin. The outbound SA goes first.
func (b *backend) Remove(ctx context.Context, c sa.Child) (u sa.Usage, err error) {
	all := halves(&c)
	for _, at := range []place{all[1], all[0]} {
		have, there, err := b.card.read(ctx, at)
		if err != nil {
			return u, meaning(err)
		}
		if !there || have.child.UID != c.UID || have.child.Owner != c.Owner {
			continue
		}
		last, err := b.card.erase(ctx, at)
		if err != nil {
			return u, meaning(err)
		}
		count(&u, last)
	}
	return u, nil
}

// Usage implements sa.Plugin.
func (b *backend) Usage(ctx context.Context, c sa.Child) (u sa.Usage, err error) {
	for _, at := range halves(&c) {
		s, there, err := b.card.read(ctx, at)
		if err != nil || !there {
			return u, errors.Join(fmt.Errorf("accelerator: child %s of %s is not on the card: %w", c.Name, c.Conn, sdk.ErrInvalid), meaning(err))
		}
		count(&u, s)
	}
	return u, nil
}

func count(u *sa.Usage, s slot) {
	if s.out {
		u.BytesOut, u.PacketsOut = s.bytes, s.packets
		return
	}
	u.BytesIn, u.PacketsIn = s.bytes, s.packets
}

// List implements sa.Plugin.
func (b *backend) List(ctx context.Context, owner string) (list []sa.Child, err error) {
	all, err := b.card.dump(ctx)
	for _, s := range all {
		if s.child.Owner == owner {
			list = append(list, s.child)
		}
	}
	return list, meaning(err)
}

// check refuses what the card cannot do.
func check(c *sa.Child) error {
	size := int(c.KeyBits)/8 + saltLen
	switch {
	case c.Encr != aesGCM16 || c.Integ != 0 || c.KeyBits != 128 && c.KeyBits != 256:
		return fmt.Errorf("accelerator: encryption %d with %d bits, integrity %d: %w", c.Encr, c.KeyBits, c.Integ, sdk.ErrUnsupported)
	case c.Mode != sa.Tunnel || c.Encap || c.TFC != 0 || c.ReplayWindow > maxWindow || len(c.Handling.Needs()) > 0:
		return fmt.Errorf("accelerator: mode %d, UDP %v, padding %d, window %d, %v: %w", c.Mode, c.Encap, c.TFC, c.ReplayWindow, c.Handling.Needs(), sdk.ErrUnsupported)
	case len(c.EncrIn) != size || len(c.EncrOut) != size || c.SPIIn < minSPI || c.SPIOut < minSPI:
		return fmt.Errorf("accelerator: keys of %d and %d octets, SPIs %08x and %08x: %w", len(c.EncrIn), len(c.EncrOut), c.SPIIn, c.SPIOut, sdk.ErrInvalid)
	}
	return nil
}

// plain is a child without its keys.
func plain(c sa.Child) sa.Child {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = secret.Bytes(nil), nil, nil, nil
	return c
}

// meaning says which faults of the card pass by themselves.
func meaning(err error) error {
	switch {
	case errors.Is(err, errReset):
		return fmt.Errorf("%w: %w", err, sdk.ErrUnavailable)
	case errors.Is(err, errFull):
		return fmt.Errorf("%w; take a backend with room: %w", err, sdk.ErrOverloaded)
	}
	return err
}
