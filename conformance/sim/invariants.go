package sim

import (
	"context"
	"crypto/sha256"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/sa"
)

// check watches what must hold in every world.
type check struct {
	w        *world
	messages map[messageKey][sha256.Size]byte
	events   map[eventKey]uint64
}

// messageKey names a message for ever. The sender is part of it because both sides number their requests from 0.
type messageKey struct {
	node       *node
	spii, spir uint64
	id         uint32
	flags      wire.Flags
	fragment   [2]uint16 // number and total, which a set of smaller ones changes (RFC 7383 section 2.6.1)
}

type eventKey struct {
	node *node
	uid  event.UID
}

func newCheck(w *world) *check {
	return &check{w: w, messages: map[messageKey][sha256.Size]byte{}, events: map[eventKey]uint64{}}
}

// sent: a message ID stands for one message, bit for bit, however often it is sent (RFC7296-2.1: requests and responses
// are repeated unchanged). What is not protected is no part of it: IKE_SA_INIT may change, with a cookie or another group
// (sections 1.2 and 2.6), and answers to unknown SPIs belong to no SA (section 1.5).
func (c *check) sent(n *node, b []byte) {
	h, err := wire.ParseHeader(b)
	if err != nil || h.NextPayload != wire2.TypeSK && h.NextPayload != wire2.TypeSKF {
		return
	}
	key := messageKey{node: n, spii: h.InitiatorSPI, spir: h.ResponderSPI, id: h.MessageID, flags: h.Flags}
	if m, err := wire2.Parse(b); err == nil && h.NextPayload == wire2.TypeSKF {
		f, _ := wire2.Get[wire2.SKF](m.Payloads)
		key.fragment = [2]uint16{f.Number, f.Total}
	}
	sum := sha256.Sum256(b)
	if before, known := c.messages[key]; known && before != sum {
		c.w.fail("%s sent another message as %s %d of SPIs %x %x", n.name, wire2.ExchangeName(h.Exchange), h.MessageID, h.InitiatorSPI, h.ResponderSPI)
	}
	c.messages[key] = sum
}

// said: an SA's events have no hole, and none tells of a child that the backend did not confirm.
func (c *check) said(n *node, r event.Record) {
	if r.SASequence != 0 {
		key := eventKey{n, r.Subject.IKE}
		if c.events[key]++; c.events[key] != r.SASequence {
			c.w.fail("%s: event %d of %v is missing", n.name, c.events[key], r.Subject.IKE)
		}
	}
	if up, ok := r.Event.(event.ChildEstablished); ok && !n.everInstalled(up.Child.UID) {
		c.w.fail("%s told of child %v before it was installed", n.name, up.Child.UID)
	}
}

func (n *node) everInstalled(uid event.UID) bool {
	return slices.ContainsFunc(n.backend.ever, func(c sa.Child) bool { return c.UID == sa.UID(uid) })
}

// agreement: both sides know of the same SAs, and every child has the same keys and mirrored selectors on both.
func (c *check) agreement() {
	east, west := c.w.nodes[0], c.w.nodes[1]
	if e, w := spis(east), spis(west); !slices.Equal(e, w) && !c.w.history.forgetful {
		c.w.fail("east has the IKE SAs %v, west %v", e, w)
	}
	held, _ := east.backend.List(context.Background(), linked.Owner)
	others, _ := west.backend.List(context.Background(), linked.Owner)
	if len(held) != len(others) && !c.w.history.forgetful {
		c.w.fail("east holds %d children, west %d", len(held), len(others))
	}
	for _, x := range held {
		i := slices.IndexFunc(others, func(y sa.Child) bool { return y.SPIIn == x.SPIOut && y.SPIOut == x.SPIIn })
		if i < 0 && c.w.history.forgetful {
			continue
		}
		if i < 0 {
			c.w.fail("child %x/%x of east is not known to west", x.SPIIn, x.SPIOut)
			continue
		}
		c.mirrored(x, others[i])
	}
	c.freshKeys()
}

func (c *check) mirrored(x, y sa.Child) {
	same := x.EncrIn.Equal(y.EncrOut) && x.EncrOut.Equal(y.EncrIn) && x.IntegIn.Equal(y.IntegOut) && x.IntegOut.Equal(y.IntegIn) &&
		x.Encr == y.Encr && x.KeyBits == y.KeyBits && x.Integ == y.Integ && x.ESN == y.ESN && x.Encap == y.Encap
	if !same {
		c.w.fail("the sides differ in keys or algorithms of child %x/%x", x.SPIIn, x.SPIOut)
	}
	if !slices.Equal(x.LocalTS, y.RemoteTS) || !slices.Equal(x.RemoteTS, y.LocalTS) {
		c.w.fail("the sides differ in selectors of child %x/%x: %v %v and %v %v", x.SPIIn, x.SPIOut, x.LocalTS, x.RemoteTS, y.LocalTS, y.RemoteTS)
	}
}

// freshKeys: no two children of a node ever had one outbound key.
func (c *check) freshKeys() {
	for _, n := range c.w.nodes {
		seen := map[string]bool{}
		for _, child := range n.backend.ever {
			if key := string(child.EncrOut); seen[key] {
				c.w.fail("%s used one key for two children", n.name)
			} else {
				seen[key] = true
			}
		}
	}
}

func spis(n *node) []string {
	var all []string
	for _, info := range n.established() {
		all = append(all, info.IKE.SPIi+"/"+info.IKE.SPIr)
	}
	slices.Sort(all)
	return all
}

// nothingLeft: after the end, and one reconciliation, there is no SA, no child, no deadline.
func (c *check) nothingLeft() {
	for _, n := range c.w.nodes {
		for _, info := range n.shard.Infos() {
			c.w.fail("%s still has an SA that is %s", n.name, info.State)
		}
		n.reconcile()
		if left := len(n.backend.children); left > 0 {
			c.w.fail("%s still holds %d children", n.name, left)
		}
		if at := n.shard.Deadline(); !at.IsZero() {
			c.w.fail("%s still waits for %v", n.name, at)
		}
	}
}

// replays: every SA, taken again through its inputs, does the same.
func (c *check) replays() {
	for _, n := range c.w.nodes {
		for i, r := range n.made {
			if err := r.replay(); err != nil {
				c.w.fail("%s: SA %d: %v", n.name, i, err)
			}
		}
	}
}
