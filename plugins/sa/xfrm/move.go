package xfrm

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// numberJump is how far the sequence numbers of an outbound SA jump when it moves: between the instant at which its number is
// read and the instant at which the new SA takes over, the old one may send so many packets, and no number may come twice under
// one key (RFC 4303 section 3.3.3). A tenth of a second of ten million packets a second.
const numberJump = 1 << 20

// update brings an installed child to a new description.
func (p *Plugin) update(c *sa.Child) error {
	if err := p.prepare(c); err != nil {
		return err
	}
	if old := p.journal.entries[c.UID]; old != nil && !old.sameSAs(newEntry(*c)) {
		return fmt.Errorf("an update changes neither SPIs nor selectors nor transforms nor keys: %w", sdk.ErrInvalid)
	}
	return p.install(c)
}

// move takes a child's SAs to other addresses, ports or limits, and an outbound SA that is no longer held back into use. The
// kernel's own migration (XFRM_MSG_MIGRATE) is not used: while it copies an SA, the old one may still send with numbers that the
// copy will use again, and of two children of one reqid it moves one.
func (p *Plugin) move(old, e *entry, c *sa.Child) error {
	e.ReqID, e.Born, e.Live, e.Was = old.ReqID, old.Born, old.Live, append(old.Was, old.Child)
	if err := p.journal.put(e); err != nil {
		return err
	}
	from, to := old.kernel(), *c
	to.ReqID = e.ReqID
	if err := p.moveSA(from, inbound(from), &to, inbound(&to)); err != nil {
		return fmt.Errorf("inbound SA: %w", meaning(err))
	}
	if err := p.lead(e.traffic, dirIn, dirFwd); err != nil {
		return err
	}
	if !to.Held {
		if err := p.moveSA(from, outbound(from), &to, outbound(&to)); err != nil {
			return fmt.Errorf("outbound SA: %w", meaning(err))
		}
	}
	if err := p.lead(e.traffic, dirOut); err != nil {
		return err
	}
	if err := p.arrange(e); err != nil { // another way, perhaps other addresses
		return err
	}
	return p.leave(e)
}

// leave deletes the SAs that moved children left behind.
func (p *Plugin) leave(e *entry) error {
	for _, was := range e.Was {
		for _, h := range []half{outbound(&was), inbound(&was)} {
			if h.at() == outbound(&e.Child).at() || h.at() == inbound(&e.Child).at() {
				continue
			}
			if err := p.kernel.dropSA(h); err != nil {
				return fmt.Errorf("SA %08x: %w", h.spi, meaning(err))
			}
		}
	}
	e.Was = nil
	return p.live(e)
}

// moveSA makes the SA of one direction what its description says. Where only ports or limits differ the kernel changes it in
// place. With another destination both exist until the policies have changed; with the same one, which names it, the old one
// goes first, and for some microseconds there is none.
func (p *Plugin) moveSA(from *sa.Child, was half, to *sa.Child, h half) error {
	have, err := p.kernel.getSA(was)
	if err != nil {
		return err
	}
	if have == nil || was.src == h.src && was.dst == h.dst && from.Encap == to.Encap {
		return p.kernel.putSA(to, h, nil)
	}
	state := have.carry(h.out)
	if was.at() == h.at() {
		if err := p.kernel.dropSA(was); err != nil {
			return err
		}
	}
	return p.kernel.putSA(to, h, state)
}

// carry is what a new SA takes over from an old one: its numbers, its replay window and what it counted.
func (s *state) carry(out bool) []attribute {
	attrs := []attribute{{nl.XFRMA_LTIME_VAL, s.Curlft.Serialize()}}
	for _, a := range s.attrs {
		switch value := append([]byte(nil), a.data...); a.kind {
		case nl.XFRMA_REPLAY_ESN_VAL: // struct xfrm_replay_state_esn
			if out && len(value) >= nl.SizeofXfrmReplayStateEsn {
				jump(value[4:], value[12:], s.Flags&nl.XFRM_STATE_ESN != 0)
			}
			attrs = append(attrs, attribute{a.kind, value})
		case nl.XFRMA_REPLAY_VAL: // struct xfrm_replay_state
			if out && len(value) >= 4 {
				jump(value, nil, false)
			}
			attrs = append(attrs, attribute{a.kind, value})
		}
	}
	return attrs
}

// jump moves an outbound sequence number on; without an upper half it stops where it is exhausted.
func jump(low, high []byte, esn bool) {
	n := uint64(binary.NativeEndian.Uint32(low)) + numberJump
	if !esn {
		n = min(n, 1<<32-1)
	} else {
		binary.NativeEndian.PutUint32(high, binary.NativeEndian.Uint32(high)+uint32(n>>32))
	}
	binary.NativeEndian.PutUint32(low, uint32(n))
}
