package wire

// PayloadHeaderLen is the size of a generic payload header in octets (RFC 7296 section 3.2).
const PayloadHeaderLen = 4

// CriticalBit is the bit C of the octet after Next Payload (RFC 7296 section 3.2).
const CriticalBit = 0x80

// RawPayload is one payload of a chain, its body not looked at.
type RawPayload struct {
	Type     PayloadType
	Next     PayloadType // as sent; in an Encrypted payload the first one inside (RFC 7296 section 3.2)
	Critical bool        // RESERVED in IKEv1
	Offset   int         // of the generic header in the message
	Body     []byte      // after the generic header; part of the input
}

// Chain walks payloads that announce each other by their Next Payload fields (RFC 7296 section 3.2).
type Chain struct {
	r       Reader
	next    PayloadType
	current PayloadType
}

// NewChain returns a walker over b, which stands at offset base of its message and starts with a payload of type
// first. Type 0 is the empty chain.
func NewChain(first PayloadType, b []byte, base int) Chain {
	return Chain{r: NewReader(b, base), next: first}
}

// Next returns the next payload. It returns false at the end and after a failure, which Finish tells apart.
func (c *Chain) Next() (RawPayload, bool) {
	if c.next == 0 || c.r.Failed() {
		return RawPayload{}, false
	}
	// Next Payload (1), Critical (1 bit), RESERVED (7 bits, ignored), Payload Length (2): RFC 7296 section 3.2.
	c.current = c.next
	p := RawPayload{Type: c.next, Offset: c.r.Offset()}
	p.Next = PayloadType(c.r.U8())
	p.Critical = c.r.U8()&CriticalBit != 0
	n := int(c.r.U16())
	if n < PayloadHeaderLen {
		c.r.Fail(p.Offset+2, "payload length is at least 4 (RFC 7296 section 3.2)")
	}
	p.Body = c.r.Bytes(n - PayloadHeaderLen)
	if c.r.Failed() {
		return RawPayload{}, false
	}
	c.next = p.Next
	return p, true
}

// Stop declares that no payload follows, whatever the last one announced: an Encrypted payload is the last of its
// message although it names a next one (RFC 7296 section 3.14).
func (c *Chain) Stop() { c.next = 0 }

// Current returns the type of the payload last begun, which after a failure is the one that failed, and 0 before the
// first.
func (c *Chain) Current() PayloadType { return c.current }

// Rest returns what follows the payloads read so far: the padding of an encrypted IKEv1 message (RFC 2409 appendix B).
func (c *Chain) Rest() []byte { return c.r.Rest() }

// Finish returns the first failure as a *SyntaxError. Octets after the last payload are one.
func (c *Chain) Finish() error {
	if c.r.Len() > 0 {
		c.r.Fail(c.r.Offset(), "nothing follows the last payload (RFC 7296 section 3.1)")
	}
	return c.r.Err()
}
