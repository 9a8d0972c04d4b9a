package xfrm

import (
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// numberJump is how far the sequence numbers of an outbound SA jump when it moves: between the instant at which its number is
// read and the instant at which the new SA takes over, the old one may send so many packets, and no number may come twice under
// one key (RFC 4303 section 3.3.3). A tenth of a second of ten million packets a second.
const numberJump = 1 << 20

// MoveSA implements kernel.Driver. Where only ports or limits differ the kernel changes the SA in place. With another destination both
// exist until the policies have changed; with the same one, which names it, the old one goes first, and for some microseconds there
// is none. The kernel's own migration (XFRM_MSG_MIGRATE) is not used: while it copies an SA, the old one may still send with numbers
// that the copy will use again, and of two children of one reqid it moves one.
func (k *driver) MoveSA(from, to *sa.Child, out bool, _ kernel.Traffic) error {
	was, h := kernel.Direction(from, out), kernel.Direction(to, out)
	have, err := k.getSA(was)
	if err != nil {
		return err
	}
	switch {
	case have == nil:
		return k.place(to, h, nil)
	case was.Src == h.Src && was.Dst == h.Dst && from.Encap == to.Encap:
		return k.putSA(to, h, nil)
	}
	state := have.carry(h.Out)
	if was.At() == h.At() {
		if err := k.dropSA(was); err != nil {
			return err
		}
	}
	return k.place(to, h, state)
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
