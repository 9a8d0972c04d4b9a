package ikev2

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// makeLifetimes reads the words "a.life=1m" of the child and "a.ike-life=10m" of the IKE SA, whose margins and jitters are a tenth
// each; without a word there is no end.
func (p *player) makeLifetimes(conn *policy.Connection, get func(key, or string) string) {
	p.t.Helper()
	conn.Lifetime.Time = p.duration(get("ike-life", "0s"))
	for _, c := range conn.Children {
		c.Lifetime.Time = p.duration(get("life", "0s"))
	}
}

// expired is the word of a SA backend about a child: "expired a1 00001001 soft".
func (p *player) expired(h *host, spi, how string) {
	p.t.Helper()
	p.step(h, machine.ChildExpired{SPIIn: binary.BigEndian.Uint32(p.hex(spi)), Hard: how == "hard", Cause: "packets"})
}

// Both ends have the same lifetimes, and rarely begin at the same time.
func TestReplacementsOfTwoSidesAreSpread(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes([]string{"a.life=1h", "b.life=1h", "a.ike-life=4h", "b.ike-life=4h"})
	p.initiate("a", nil)
	p.run()
	a, b := p.sa("a1"), p.sa("b1")
	if d := a.life.soft.Sub(b.life.soft).Abs(); d < time.Second {
		t.Errorf("IKE SAs are replaced at %v and %v", a.life.soft, b.life.soft)
	}
	if d := a.children[0].life.soft.Sub(b.children[0].life.soft).Abs(); d < time.Second {
		t.Errorf("children are replaced at %v and %v", a.children[0].life.soft, b.children[0].life.soft)
	}
	if hard := a.life.hard.Sub(p.now); hard != 4*time.Hour || b.children[0].life.hard.Sub(p.now) != time.Hour {
		t.Errorf("the IKE SA ends after %v", hard)
	}
}

// What a child may carry reaches the SA backend, the soft limits below the hard ones.
func TestLimitsReachTheBackend(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.node("a").conn.Children[0].Lifetime = policy.Lifetime{Bytes: 1 << 30, Packets: 1 << 20}
	p.initiate("a", nil)
	p.run()
	c := p.node("a").backend[0x1001]
	if c.Hard != (machine.Volume{Bytes: 1 << 30, Packets: 1 << 20}) || c.Soft.Bytes >= c.Hard.Bytes || c.Soft.Packets >= c.Hard.Packets ||
		c.Soft.Bytes < 800<<20 || c.Soft.Packets < 800<<10 {
		t.Errorf("soft %+v, hard %+v", c.Soft, c.Hard)
	}
	if d := p.node("b").backend[0x2001]; d.Soft != (machine.Volume{}) || d.Hard != (machine.Volume{}) {
		t.Errorf("without limits: soft %+v, hard %+v", d.Soft, d.Hard)
	}
}

// Both ends count the same packets, and rarely replace the child at the same one.
func TestLimitsOfTwoSidesAreSpread(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	for _, n := range p.nodes {
		n.conn.Children[0].Lifetime = policy.Lifetime{Bytes: 1 << 40, Packets: 1 << 40}
	}
	p.initiate("a", nil)
	p.run()
	a, b := p.node("a").backend[0x1001].Soft, p.node("b").backend[0x2001].Soft
	if a.Bytes == b.Bytes || a.Packets == b.Packets || a.Bytes == a.Packets {
		t.Errorf("the child is replaced after %+v and %+v", a, b)
	}
}

// A hundred lifetimes of both SAs leave one child, one IKE SA, and no more than that in memory.
func TestManyLifetimesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes([]string{"a.life=1m", "b.life=1m", "a.ike-life=3m", "b.ike-life=3m"})
	p.initiate("a", nil)
	p.run()
	p.advance(100 * time.Minute)
	p.checkEnd()
	for _, n := range p.nodes {
		open := 0
		for _, h := range n.sas {
			if h.State() == Established {
				open++
				if len(h.children) > 2 || h.calls.Waiting() > 0 || h.calls.Reserved() > 0 || len(h.todo) > 1 {
					t.Errorf("%s has %d children, %d calls, %d SPIs, %d tasks", h.label, len(h.children), h.calls.Waiting(), h.calls.Reserved(), len(h.todo))
				}
			}
		}
		if open != 1 || len(n.backend) > 2 || len(n.reserved) > 0 || len(n.sas) < 30 {
			t.Errorf("%s has %d of %d SAs, %d children and %d SPIs", n.name, open, len(n.sas), len(n.backend), len(n.reserved))
		}
	}
}
