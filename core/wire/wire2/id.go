package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeIDi.
func (IDi) Type() wire.PayloadType { return TypeIDi }

// Type returns TypeIDr.
func (IDr) Type() wire.PayloadType { return TypeIDr }

func parseID(r *wire.Reader) ID {
	// ID Type (1), RESERVED (3), Identification Data: RFC 7296 section 3.5.
	return ID{IDType: IDType(r.U8()), Reserved: reserved3(r), Data: r.Rest()}
}

// reserved3 reads three RESERVED octets that are kept because a computation covers them.
func reserved3(r *wire.Reader) [3]byte { return [3]byte{r.U8(), r.U8(), r.U8()} }

func (id ID) append(b []byte) []byte {
	b = append(b, byte(id.IDType))
	b = append(b, id.Reserved[:]...)
	return append(b, id.Data...)
}

func (id IDi) append(b []byte) []byte { return ID(id).append(b) }
func (id IDr) append(b []byte) []byte { return ID(id).append(b) }
