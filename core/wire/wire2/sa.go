package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Last Substruc octets (RFC 7296 sections 3.3.1 and 3.3.2). The numbers are the payload types that proposals and
// transforms had in IKEv1.
const (
	lastSubstructure = 0
	moreProposals    = 2
	moreTransforms   = 3
)

// Sizes in octets of the fixed parts (RFC 7296 sections 3.3.1, 3.3.2 and 3.3.5).
const (
	transformLen = 8
	attributeLen = 4
)

// attributeTV is the AF bit: a two-octet value stands where the length would (RFC 7296 section 3.3.5).
const attributeTV = 0x8000

// Type returns TypeSA.
func (SA) Type() wire.PayloadType { return TypeSA }

// parseSA reads proposals until one says that it is the last (RFC 7296 section 3.3). Their lengths must agree with
// that of the payload.
func parseSA(r *wire.Reader) SA {
	sa := SA{Proposals: make([]Proposal, 0, 2)} // one for AEAD ciphers and one for others is common
	transforms := 0
	for more := true; more && !r.Failed(); {
		at := r.Offset()
		if len(sa.Proposals) == MaxProposals {
			r.Fail(at, "an SA payload has at most 128 proposals")
			break
		}
		var p Proposal
		p, more = parseProposal(r)
		if transforms += len(p.Transforms); transforms > MaxSATransforms {
			r.Fail(at, "an SA payload has at most 1024 transforms")
		}
		sa.Proposals = append(sa.Proposals, p)
	}
	return sa
}

func parseProposal(r *wire.Reader) (p Proposal, more bool) {
	// Last Substruc (1), RESERVED (1), Proposal Length (2), Proposal Num (1), Protocol ID (1), SPI Size (1),
	// Num Transforms (1), SPI, Transforms: RFC 7296 section 3.3.1.
	more = parseLast(r, moreProposals)
	r.Skip(1)
	outer := r.Enter(int(r.U16()) - 4)
	p.Number = r.U8()
	p.Protocol = ProtocolID(r.U8())
	at := r.Offset()
	spiSize := int(r.U8())
	if !validSPISize(p.Protocol, spiSize) {
		r.Fail(at, "an SPI has 4 octets for AH and ESP, 0 or 8 for IKE (RFC 7296 section 3.3.1)")
	}
	count := int(r.U8())
	p.SPI = r.Bytes(spiSize)
	p.Transforms = parseTransforms(r, count)
	r.Leave(outer)
	return p, more
}

// parseLast reads a Last Substruc octet, which is 0 or the number that promises another.
func parseLast(r *wire.Reader, another uint8) (more bool) {
	at := r.Offset()
	last := r.U8()
	if last != lastSubstructure && last != another {
		r.Fail(at, "last substruc is 0, or 2 before a proposal, 3 before a transform (RFC 7296 sections 3.3.1, 3.3.2)")
	}
	return last == another
}

// validSPISize leaves the sizes of protocols that we do not know alone, so that their proposals are passed over
// rather than the whole message refused (RFC 7296 section 3.3.6).
func validSPISize(protocol ProtocolID, n int) bool {
	switch protocol {
	case ProtoIKE:
		return n == 0 || n == 8
	case ProtoAH, ProtoESP:
		return n == 4
	}
	return true
}

// parseTransforms reads count transforms, which fill the rest of their proposal. What it allocates is bounded by the
// octets that are there.
func parseTransforms(r *wire.Reader, count int) []Transform {
	at := r.Offset()
	switch {
	case count == 0:
		r.Fail(at, "a proposal has at least one transform (RFC 7296 section 3.3)")
	case count > MaxTransforms:
		r.Fail(at, "a proposal has at most 128 transforms")
	case count*transformLen > r.Len():
		r.Fail(at, "num transforms agrees with the proposal length (RFC 7296 section 3.3)")
	}
	if r.Failed() {
		return nil
	}
	ts := make([]Transform, 0, count)
	room := min((r.Len()-count*transformLen)/attributeLen, count) // one attribute each is the rule
	attributes := make([]Attribute, 0, room)
	for i := 1; i <= count; i++ {
		at := r.Offset()
		var t Transform
		var more bool
		t, attributes, more = parseTransform(r, attributes)
		if more != (i < count) {
			r.Fail(at, "num transforms agrees with last substruc (RFC 7296 section 3.3)")
		}
		if r.Failed() {
			return nil
		}
		ts = append(ts, t)
	}
	return ts
}

// parseTransform reads one transform. Its attributes are a part of the pool that the transforms of a proposal share.
func parseTransform(r *wire.Reader, pool []Attribute) (t Transform, grown []Attribute, more bool) {
	// Last Substruc (1), RESERVED (1), Transform Length (2), Transform Type (1), RESERVED (1), Transform ID (2),
	// Transform Attributes: RFC 7296 section 3.3.2.
	more = parseLast(r, moreTransforms)
	r.Skip(1)
	outer := r.Enter(int(r.U16()) - 4)
	t.Type = TransformType(r.U8())
	r.Skip(1)
	t.ID = r.U16()
	start := len(pool)
	for r.Len() > 0 {
		if len(pool)-start == MaxAttributes {
			r.Fail(r.Offset(), "a transform has at most 8 attributes")
			break
		}
		pool = append(pool, parseAttribute(r))
	}
	if n := len(pool); n > start {
		t.Attributes = pool[start:n:n]
	}
	r.Leave(outer)
	return t, pool, more
}

func parseAttribute(r *wire.Reader) Attribute {
	// AF (1 bit), Attribute Type (15 bits), Attribute Value (2) or Attribute Length (2) and Attribute Value:
	// RFC 7296 section 3.3.5.
	head, word := r.U16(), r.U16()
	if head&attributeTV != 0 {
		return Attribute{Type: head &^ attributeTV, TV: true, Value: word}
	}
	return Attribute{Type: head, Data: r.Bytes(int(word))}
}

func (sa SA) append(b []byte) []byte {
	for i, p := range sa.Proposals {
		b = p.append(b, lastOctet(i, len(sa.Proposals), moreProposals))
	}
	return b
}

// lastOctet returns the Last Substruc octet of the structure with index i of n.
func lastOctet(i, n int, another byte) byte {
	if i < n-1 {
		return another
	}
	return lastSubstructure
}

func (p Proposal) append(b []byte, last byte) []byte {
	start := len(b)
	b, length := wire.OpenLength16(append(b, last, 0), start)
	b = append(b, p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	b = append(b, p.SPI...)
	for i, t := range p.Transforms {
		b = t.append(b, lastOctet(i, len(p.Transforms), moreTransforms))
	}
	length.Close(b)
	return b
}

func (t Transform) append(b []byte, last byte) []byte {
	start := len(b)
	b, length := wire.OpenLength16(append(b, last, 0), start)
	b = append(b, byte(t.Type), 0)
	b = binary.BigEndian.AppendUint16(b, t.ID)
	for _, a := range t.Attributes {
		b = a.append(b)
	}
	length.Close(b)
	return b
}

func (a Attribute) append(b []byte) []byte {
	if a.TV {
		b = binary.BigEndian.AppendUint16(b, a.Type|attributeTV)
		return binary.BigEndian.AppendUint16(b, a.Value)
	}
	b = binary.BigEndian.AppendUint16(b, a.Type&^attributeTV)
	b, length := wire.OpenLength16(b, len(b)+2)
	b = append(b, a.Data...)
	length.Close(b)
	return b
}
