package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeAuth.
func (Auth) Type() wire.PayloadType { return TypeAuth }

func parseAuth(r *wire.Reader) Auth {
	// Auth Method (1), RESERVED (3), Authentication Data: RFC 7296 section 3.8.
	return Auth{Method: AuthMethod(r.U8()), Reserved: reserved3(r), Data: r.Rest()}
}

func (a Auth) append(b []byte) []byte {
	b = append(b, byte(a.Method))
	b = append(b, a.Reserved[:]...)
	return append(b, a.Data...)
}
