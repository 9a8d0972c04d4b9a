// Command sa is a minimal SA backend: it keeps what it is told and moves no packet. A driver would program its device in
// Install and Remove, and answer List from the device, so that a restart of either side can be reconciled.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

func main() {
	serve.Main(serve.Info{Name: "example-sa", Version: "1.0.0", Vendor: "Example"}, serve.SA("example", newBackend()))
}

type backend struct {
	epoch    uint64 // of this process, which holds the children: they end with it
	mu       sync.Mutex
	spi      uint32
	children map[key]sa.Child
}

// key names a child: what one owner installed, another never touches.
type key struct {
	owner string
	uid   sa.UID
}

const aesGCM16 = 20 // ENCR_AES_GCM_16, IANA

func newBackend() *backend {
	return &backend{epoch: rand.Uint64(), spi: 256, children: map[key]sa.Child{}} // RFC 4303 section 2.1: SPIs below 256 are reserved
}

func (b *backend) Probe(ctx context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{
		Name: "example", Usable: true, Reason: "needs nothing", Offload: "none", Modes: []sa.Mode{sa.Tunnel},
		Algorithms: []sa.Algorithm{{Type: 1, ID: aesGCM16, KeyBits: []uint16{128, 256}}}, Epoch: b.epoch,
	}, ctx.Err()
}

func (b *backend) AllocateSPI(ctx context.Context, _, _ netip.Addr) (uint32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spi++
	return b.spi, ctx.Err()
}

func (b *backend) FreeSPI(ctx context.Context, _, _ netip.Addr, _ uint32) error {
	return ctx.Err() // SPIs are counted up here: none is kept for anybody
}

// Update is Install here. A driver would change what differs in place: sequence numbers have to go on.
func (b *backend) Update(ctx context.Context, c sa.Child) error { return b.Install(ctx, c) }

func (b *backend) Install(ctx context.Context, c sa.Child) error {
	if c.Encr != aesGCM16 || c.Integ != 0 || c.Mode != sa.Tunnel || len(c.Handling.Needs()) > 0 {
		return fmt.Errorf("example: encryption %d, integrity %d, mode %d, %v: %w", c.Encr, c.Integ, c.Mode, c.Handling.Needs(), sdk.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.EncrIn, c.EncrOut = nil, nil // a device would get them here; the list needs none
	b.mu.Lock()
	defer b.mu.Unlock()
	k := key{c.Owner, c.UID}
	for other, have := range b.children {
		if other != k && have.SPIIn == c.SPIIn { // an SPI is of one SA (RFC 4301 section 4.1)
			return fmt.Errorf("example: another child has the inbound SPI %08x", c.SPIIn)
		}
	}
	b.children[k] = c // the same child again changes nothing
	return nil
}

func (b *backend) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.children, key{c.Owner, c.UID}) // not there: a success as well
	return sa.Usage{}, ctx.Err()
}

func (b *backend) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.children[key{c.Owner, c.UID}]; !ok {
		return sa.Usage{}, fmt.Errorf("example: child %x is not installed", c.UID)
	}
	return sa.Usage{}, ctx.Err()
}

func (b *backend) List(ctx context.Context, owner string) ([]sa.Child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []sa.Child
	for k, c := range b.children {
		if k.owner == owner {
			list = append(list, c)
		}
	}
	return list, ctx.Err()
}
