package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeVendorID.
func (VendorID) Type() wire.PayloadType { return TypeVendorID }

func parseVendorID(r *wire.Reader) VendorID {
	// Vendor ID: RFC 7296 section 3.12.
	return VendorID{Data: r.Rest()}
}

func (v VendorID) append(b []byte) []byte { return append(b, v.Data...) }
