package policy

import (
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// Scope says what a proposal is for.
type Scope uint8

// Scopes.
const (
	ScopeIKE Scope = iota + 1 // an IKE SA
	ScopeESP                  // a child SA
)

// String returns the scope's word in the configuration: "ike" or "esp".
func (s Scope) String() string {
	switch s {
	case ScopeIKE:
		return "ike"
	case ScopeESP:
		return "esp"
	}
	return "unknown"
}

// protocol is the scope's protocol ID (RFC 7296 section 3.3.1).
func (s Scope) protocol() wire2.ProtocolID {
	if s == ScopeIKE {
		return wire2.ProtoIKE
	}
	return wire2.ProtoESP
}

// types lists the kinds of transform of the scope's proposals, in the order in which preferences weigh (RFC 7296 section
// 3.3.3).
func (s Scope) types() []wire2.TransformType {
	if s == ScopeIKE {
		return ikeTypes
	}
	return espTypes
}

var (
	ikeTypes = []wire2.TransformType{wire2.TransformENCR, wire2.TransformINTEG, wire2.TransformPRF, wire2.TransformKE}
	espTypes = []wire2.TransformType{wire2.TransformENCR, wire2.TransformINTEG, wire2.TransformKE, wire2.TransformESN}
)

// mayBeNone reports whether leaving out a kind of transform means its NONE value: integrity goes without for combined-mode
// ciphers, and a child SA goes without a key exchange (RFC 7296 sections 3.3.2 and 3.3.3).
func (s Scope) mayBeNone(t wire2.TransformType) bool {
	return t == wire2.TransformINTEG || s == ScopeESP && t == wire2.TransformKE
}

// Transform is one algorithm in one role.
type Transform = suite.Transform

// Proposal is one proposal: one or more transforms per type, in order of preference inside a type.
type Proposal []Transform

// of returns the transforms of one type; a type that may be left out and is gives its NONE value.
func (p Proposal) of(scope Scope, typ wire2.TransformType) []Transform {
	var all []Transform
	for _, t := range p {
		if t.Type == typ {
			all = append(all, t)
		}
	}
	if len(all) == 0 && scope.mayBeNone(typ) {
		all = []Transform{{Type: typ}}
	}
	return all
}

// Wire returns the proposal as it is sent. Number counts from 1 in an SA payload (RFC 7296 section 3.3); spi is not
// copied.
func (p Proposal) Wire(number uint8, proto wire2.ProtocolID, spi []byte) wire2.Proposal {
	w := wire2.Proposal{Number: number, Protocol: proto, SPI: spi}
	for _, t := range p {
		w.Transforms = append(w.Transforms, toWire(t))
	}
	return w
}

func toWire(t Transform) wire2.Transform {
	w := wire2.Transform{Type: t.Type, ID: t.ID}
	if t.KeyBits != 0 { // RFC 7296 section 3.3.5: absent where the key length is fixed
		w.Attributes = []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: uint16(t.KeyBits)}}
	}
	return w
}

// fromWire returns the transform that w stands for. It fails for an attribute that we do not know, which makes the
// transform, and it alone, unacceptable (RFC 7296 section 3.3.6).
func fromWire(w wire2.Transform) (t Transform, ok bool) {
	t = Transform{Type: w.Type, ID: w.ID}
	switch len(w.Attributes) {
	case 0:
		return t, true
	case 1:
		a := w.Attributes[0]
		t.KeyBits = int(a.Value)
		return t, a.Type == wire2.AttrKeyLength && a.TV && a.Value != 0
	}
	return t, false
}

// String returns the proposal in the words of the configuration: "aes256gcm16-prfsha256-x25519". ParseProposal reads it
// back.
func (p Proposal) String() string {
	hasESN := slices.ContainsFunc(p, func(t Transform) bool { return t.Type == wire2.TransformESN && t.ID != 0 })
	var words []string
	for _, t := range p {
		if t.Type != wire2.TransformESN || hasESN { // noesn alone is the default
			words = append(words, word(t))
		}
	}
	return strings.Join(words, "-")
}

// unknownAttributes in KeyBits marks a transform of the peer that nobody can have configured.
const unknownAttributes = -1

// none is the word for the NONE value of a key exchange or an integrity algorithm.
const none = "none"

// word returns the configuration's word for t, or the IANA name when there is none.
func word(t Transform) string {
	if t.KeyBits == unknownAttributes {
		return Transform{Type: t.Type, ID: t.ID}.String() + " with unknown attributes"
	}
	if t.ID == 0 && (t.Type == wire2.TransformKE || t.Type == wire2.TransformINTEG) {
		return none
	}
	if w := t.Token(); w != "" {
		return w
	}
	return t.String()
}

// WithoutKE returns the proposals without their key exchange methods: IKE_AUTH makes a child SA without one (RFC 7296
// section 1.2). Proposals that become equal are merged.
func WithoutKE(all []Proposal) []Proposal {
	var out []Proposal
	for _, p := range all {
		q := slices.DeleteFunc(slices.Clone(p), func(t Transform) bool { return t.Type == wire2.TransformKE })
		if !slices.ContainsFunc(out, func(o Proposal) bool { return slices.Equal(o, q) }) {
			out = append(out, q)
		}
	}
	return out
}

// FirstKE returns the method for which to send a key exchange payload when nothing is known about the peer: P-256 when it
// is listed, because most peers take it at once, else the first one; 0 when there is none (RFC 7296 section 3.3.6: the
// group that the responder most likely accepts).
func FirstKE(all []Proposal) uint16 {
	first := uint16(0)
	for _, p := range all {
		for _, t := range p {
			if t.Type != wire2.TransformKE || t.ID == 0 {
				continue
			}
			if t.ID == uint16(suite.KEECP256) {
				return t.ID
			}
			if first == 0 {
				first = t.ID
			}
		}
	}
	return first
}

// isAEAD reports whether t is a combined-mode cipher, which takes no integrity algorithm.
func isAEAD(t Transform) bool {
	e, ok := suite.LookupEncryption(suite.EncrID(t.ID))
	return t.Type == wire2.TransformENCR && ok && e.AEAD
}
