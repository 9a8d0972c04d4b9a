package wire1

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeNATD or the drafts' number.
func (n NATD) Type() wire.PayloadType {
	if n.Draft {
		return TypeNATDDraft
	}
	return TypeNATD
}

// Type returns TypeNATOA or the drafts' number.
func (n NATOA) Type() wire.PayloadType {
	if n.Draft {
		return TypeNATOADraft
	}
	return TypeNATOA
}

func (n NATD) append(b []byte) []byte { return append(b, n.Hash...) }

func parseNATOA(draft bool, r *wire.Reader) NATOA {
	// ID Type (1), RESERVED (3), address: RFC 3947 section 5.2.
	n := NATOA{Draft: draft, IDType: IDType(r.U8())}
	parseReserved(r, 3)
	at := r.Offset()
	n.Data = r.Rest()
	if n.IDType == IDIPv4Addr && len(n.Data) != 4 || n.IDType == IDIPv6Addr && len(n.Data) != 16 {
		r.Fail(at, "an original address has 4 or 16 octets, as its ID type says (RFC 3947 section 5.2)")
	}
	return n
}

func (n NATOA) append(b []byte) []byte { return append(append(b, byte(n.IDType), 0, 0, 0), n.Data...) }
