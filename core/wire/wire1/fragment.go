package wire1

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// lastFragment is the flag of a message's last fragment ([MS-IKEE] section 2.2.6).
const lastFragment = 1

// Type returns TypeFragment.
func (Fragment) Type() wire.PayloadType { return TypeFragment }

func parseFragment(r *wire.Reader) Fragment {
	// Fragment_ID (2), Fragment_Number (1), Flags (1), Fragment_Data: [MS-IKEE] section 2.2.6.
	f := Fragment{ID: r.U16()}
	at := r.Offset()
	f.Number = r.U8()
	flags := r.U8()
	f.Last = flags&lastFragment != 0
	f.Data = r.Rest()
	if f.Number == 0 || len(f.Data) == 0 || flags > lastFragment {
		r.Fail(at, "a fragment has a number from 1, no flag but 1, and data ([MS-IKEE] section 2.2.6)")
	}
	return f
}

func (f Fragment) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, f.ID)
	var flags byte
	if f.Last {
		flags = lastFragment
	}
	return append(append(b, f.Number, flags), f.Data...)
}
