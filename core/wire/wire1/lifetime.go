package wire1

import "github.com/parley-ike/parley/core/wire"

// Attributes reads the data of a notify that holds attributes, such as RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1); false when it
// holds something else.
func (n Notify) Attributes() ([]Attribute, bool) {
	r := wire.NewReader(n.Data, 0)
	as, _ := parseAttributes(&r, nil, MaxAttributes)
	return as, r.Finish() == nil
}

// AttributeData returns the data of such a notify.
func AttributeData(as []Attribute) []byte { return appendAttributes(nil, as) }
