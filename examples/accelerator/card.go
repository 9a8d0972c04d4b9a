package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/parley-ike/parley/sdk/sa"
)

// What a card answers.
var (
	errFull  = errors.New("no place in the card's table")
	errReset = errors.New("the card resets")
)

// place is what names an SA on the card.
type place struct {
	dst netip.Addr
	spi uint32
}

// slot is one SA in the card's table. It outlives the plugin: what the plugin must know after a restart stands in it.
type slot struct {
	child          sa.Child // whose it is, without keys
	out, armed     bool     // armed: packets may leave by it
	bytes, packets uint64
	key            []byte // never read back
}

// card is a simulated ESP card. Each command takes the bus for its latency. It is safe for concurrent use.
type card struct {
	latency time.Duration
	places  int

	mu    sync.Mutex
	table map[place]slot
	life  uint64 // of the table, another one after each reset; a simulated card is reset by the end of its process too
	fault error  // what commands answer, nil: they work
}

func newCard(places int, latency time.Duration) *card {
	return &card{latency: latency, places: places, table: map[place]slot{}, life: rand.Uint64()}
}

// command waits for the bus and then has the card to itself.
func (c *card) command(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	time.Sleep(c.latency)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		return c.fault
	}
	return f()
}

// write makes an SA, or changes one in place: its counters and numbers go on.
func (c *card) write(ctx context.Context, at place, s slot) error {
	return c.command(ctx, func() error {
		have, there := c.table[at]
		if !there && len(c.table) >= c.places {
			return errFull
		}
		s.bytes, s.packets = have.bytes, have.packets
		c.table[at] = s
		return nil
	})
}

// erase takes an SA out and returns its last counters; none there is a success.
func (c *card) erase(ctx context.Context, at place) (last slot, err error) {
	err = c.command(ctx, func() error {
		last = c.table[at]
		clear(last.key)
		delete(c.table, at)
		return nil
	})
	return last, err
}

// read returns an SA.
func (c *card) read(ctx context.Context, at place) (s slot, there bool, err error) {
	err = c.command(ctx, func() error { s, there = c.table[at]; return nil })
	return s, there, err
}

// dump returns the inbound SAs, of which each child has one.
func (c *card) dump(ctx context.Context) (all []slot, err error) {
	err = c.command(ctx, func() error {
		for _, s := range c.table {
			if !s.out {
				all = append(all, s)
			}
		}
		return nil
	})
	return all, err
}

// reset is what a watchdog does: the table is empty, and no key is left.
func (c *card) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.table {
		clear(s.key)
	}
	c.table, c.life = map[place]slot{}, c.life+1
}

// condition is the card's life, and how many places are taken.
func (c *card) condition() (life uint64, taken int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life, len(c.table)
}
