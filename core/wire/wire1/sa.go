package wire1

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Sizes in octets of the fixed parts (RFC 2408 sections 3.3 and 3.6).
const (
	transformLen = 8
	attributeLen = 4
)

// Type returns TypeSA.
func (SA) Type() wire.PayloadType { return TypeSA }

// parseSA reads proposals until one says that it is the last. Their lengths must agree with that of the payload.
func parseSA(r *wire.Reader) SA {
	// DOI (4), Situation, Proposals: RFC 2408 section 3.4. The situation of the IPsec DOI has 4 octets, and labels follow
	// when it says more than SIT_IDENTITY_ONLY: RFC 2407 section 4.6.1.
	sa := SA{DOI: r.U32()}
	if sa.DOI == DOIIPsec {
		sa.Situation = r.U32()
	}
	if sa.DOI != DOIIPsec || sa.Situation != SituationIdentityOnly {
		sa.Opaque = r.Rest()
		return sa
	}
	sa.Proposals = parseProposals(r)
	return sa
}

func parseProposals(r *wire.Reader) []Proposal {
	ps := make([]Proposal, 0, 1) // IKEv1 offers lists of transforms, hardly ever of proposals
	transforms := 0
	for more := true; more && !r.Failed(); {
		at := r.Offset()
		if len(ps) == MaxProposals {
			r.Fail(at, "an SA payload has at most 64 proposals")
			break
		}
		var p Proposal
		p, more = parseProposal(r)
		if transforms += len(p.Transforms); transforms > MaxSATransforms {
			r.Fail(at, "an SA payload has at most 1024 transforms")
		}
		ps = append(ps, p)
	}
	return ps
}

func parseProposal(r *wire.Reader) (p Proposal, more bool) {
	// Next Payload (1), RESERVED (1), Payload Length (2), Proposal # (1), Protocol-Id (1), SPI Size (1), # of Transforms
	// (1), SPI, Transforms: RFC 2408 section 3.5.
	more = parseNext(r, TypeProposal)
	parseReserved(r, 1)
	outer := r.Enter(int(r.U16()) - 4)
	p.Number = r.U8()
	p.Protocol = ProtocolID(r.U8())
	at := r.Offset()
	spiSize := int(r.U8())
	if !validSPISize(p.Protocol, spiSize) {
		r.Fail(at, "an SPI has 4 octets for AH and ESP, at most 16 for ISAKMP (RFC 2408 section 3.5)")
	}
	count := int(r.U8())
	p.SPI = r.Bytes(spiSize)
	p.Transforms = parseTransforms(r, count)
	r.Leave(outer)
	return p, more
}

// parseNext reads the Next Payload of a proposal or transform: 0, or its own type before another (RFC 2408 sections 3.5
// and 3.6).
func parseNext(r *wire.Reader, another wire.PayloadType) (more bool) {
	at := r.Offset()
	next := wire.PayloadType(r.U8())
	if next != TypeNone && next != another {
		r.Fail(at, "next payload is 2 in a proposal, 3 in a transform, 0 in the last one (RFC 2408 sections 3.5, 3.6)")
	}
	return next == another
}

// validSPISize leaves the sizes of protocols that we do not know alone, so that their proposals are passed over rather
// than the whole message refused. A CPI of IPCOMP has 2 octets and may be sent in 4 (RFC 3173 section 4.1).
func validSPISize(protocol ProtocolID, n int) bool {
	switch protocol {
	case ProtoISAKMP:
		return n <= maxISAKMPSPI
	case ProtoAH, ProtoESP:
		return n == 4
	case ProtoIPCOMP:
		return n == 2 || n == 4
	}
	return true
}

// parseTransforms reads count transforms, which fill the rest of their proposal. What it allocates is bounded by the
// octets that are there.
func parseTransforms(r *wire.Reader, count int) []Transform {
	at := r.Offset()
	switch {
	case count == 0:
		r.Fail(at, "a proposal has at least one transform (RFC 2408 section 4.2)")
	case count*transformLen > r.Len():
		r.Fail(at, "# of transforms agrees with the proposal's length (RFC 2408 section 3.5)")
	}
	if r.Failed() {
		return nil
	}
	ts := make([]Transform, 0, count)
	attributes := make([]Attribute, 0, min((r.Len()-count*transformLen)/attributeLen, count*MaxAttributes))
	for i := 1; i <= count; i++ {
		at := r.Offset()
		var t Transform
		var more bool
		t, attributes, more = parseTransform(r, attributes)
		if more != (i < count) {
			r.Fail(at, "# of transforms agrees with next payload (RFC 2408 sections 3.5, 3.6)")
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
	// Next Payload (1), RESERVED (1), Payload Length (2), Transform # (1), Transform-Id (1), RESERVED2 (2), SA Attributes:
	// RFC 2408 section 3.6.
	more = parseNext(r, TypeTransform)
	parseReserved(r, 1)
	outer := r.Enter(int(r.U16()) - 4)
	t.Number = r.U8()
	t.ID = r.U8()
	parseReserved(r, 2)
	t.Attributes, grown = parseAttributes(r, pool, MaxAttributes)
	r.Leave(outer)
	return t, grown, more
}

func (sa SA) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, sa.DOI)
	if sa.DOI == DOIIPsec {
		b = binary.BigEndian.AppendUint32(b, sa.Situation)
	}
	for i, p := range sa.Proposals {
		b = p.append(b, nextOctet(i, len(sa.Proposals), TypeProposal))
	}
	return append(b, sa.Opaque...)
}

// nextOctet returns the Next Payload of the structure with index i of n.
func nextOctet(i, n int, another wire.PayloadType) byte {
	if i < n-1 {
		return byte(another)
	}
	return byte(TypeNone)
}

func (p Proposal) append(b []byte, next byte) []byte {
	start := len(b)
	b, length := wire.OpenLength16(append(b, next, 0), start)
	b = append(b, p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	b = append(b, p.SPI...)
	for i, t := range p.Transforms {
		b = t.append(b, nextOctet(i, len(p.Transforms), TypeTransform))
	}
	length.Close(b)
	return b
}

func (t Transform) append(b []byte, next byte) []byte {
	start := len(b)
	b, length := wire.OpenLength16(append(b, next, 0), start)
	b = appendAttributes(append(b, t.Number, t.ID, 0, 0), t.Attributes)
	length.Close(b)
	return b
}
