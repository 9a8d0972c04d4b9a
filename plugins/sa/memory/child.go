package memory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// encryption is a cipher by IANA transform ID; the key sizes of those with several come with the negotiation.
type encryption struct {
	bits []uint16 // nil: one size
	key  int      // octets, where there is one size
	salt int      // octets at the end of the keying material
	aead bool
}

var encryptions = map[uint16]encryption{
	12: {bits: []uint16{128, 192, 256}},                      // AES-CBC, RFC 3602
	20: {bits: []uint16{128, 192, 256}, salt: 4, aead: true}, // AES-GCM with 16 octets of ICV, RFC 4106
	28: {key: 32, salt: 4, aead: true},                       // ChaCha20-Poly1305, RFC 7634
}

// integrities has the key sizes in octets: HMAC-SHA1-96, HMAC-SHA2-256-128, -384-192 and -512-256 (RFC 2404, RFC 4868).
var integrities = map[uint16]int{2: 20, 12: 32, 13: 48, 14: 64}

// Transform types (RFC 7296 section 3.3.2).
const (
	typeEncryption = 1
	typeIntegrity  = 3
)

func algorithms() []sa.Algorithm {
	var list []sa.Algorithm
	for _, id := range []uint16{12, 20, 28} {
		list = append(list, sa.Algorithm{Type: typeEncryption, ID: id, KeyBits: slices.Clone(encryptions[id].bits)})
	}
	for _, id := range []uint16{2, 12, 13, 14} {
		list = append(list, sa.Algorithm{Type: typeIntegrity, ID: id})
	}
	return list
}

// check finds what a kernel would refuse.
func check(c sa.Child) error {
	encrLen, integLen, err := keyLengths(c)
	if err != nil {
		return err
	}
	switch {
	case c.Mode > sa.Transport:
		return fmt.Errorf("sa/memory: mode %d: %w", c.Mode, sdk.ErrUnsupported)
	case len(c.Handling.Needs()) > 0:
		return fmt.Errorf("sa/memory: %s: %w", strings.Join(c.Handling.Needs(), ", "), sdk.ErrUnsupported)
	case c.ReplayWindow > maxReplayWindow:
		return fmt.Errorf("sa/memory: replay window of %d packets: %w: at most %d", c.ReplayWindow, sdk.ErrUnsupported, maxReplayWindow)
	case len(c.EncrIn) != encrLen || len(c.EncrOut) != encrLen || len(c.IntegIn) != integLen || len(c.IntegOut) != integLen:
		return fmt.Errorf("sa/memory: encryption keys of %d and %d octets, integrity keys of %d and %d, want %d and %d",
			len(c.EncrIn), len(c.EncrOut), len(c.IntegIn), len(c.IntegOut), encrLen, integLen)
	case c.SPIIn < minSPI || c.SPIOut < minSPI:
		return fmt.Errorf("sa/memory: SPIs %08x in and %08x out: those below %08x are reserved (RFC 4303 section 2.1)", c.SPIIn, c.SPIOut, minSPI)
	case !c.Local.IsValid() || c.Local.Is4() != c.Remote.Is4():
		return fmt.Errorf("sa/memory: addresses %v and %v are no pair of one family", c.Local, c.Remote)
	case c.Encap && (c.LocalPort == 0 || c.RemotePort == 0):
		return fmt.Errorf("sa/memory: UDP encapsulation from port %d to port %d", c.LocalPort, c.RemotePort)
	case len(c.LocalTS) == 0 || len(c.RemoteTS) == 0:
		return fmt.Errorf("sa/memory: %d local and %d remote traffic selectors: each side needs one", len(c.LocalTS), len(c.RemoteTS))
	}
	return nil
}

// keyLengths gives the octets of keying material per direction.
func keyLengths(c sa.Child) (encr, integ int, err error) {
	cipher, ok := encryptions[c.Encr]
	if !ok || cipher.bits != nil && !slices.Contains(cipher.bits, c.KeyBits) || cipher.bits == nil && c.KeyBits != 0 {
		return 0, 0, fmt.Errorf("sa/memory: encryption %d with %d bits: %w", c.Encr, c.KeyBits, sdk.ErrUnsupported)
	}
	integ, ok = integrities[c.Integ]
	if cipher.aead != (c.Integ == 0) || !ok && !cipher.aead {
		return 0, 0, fmt.Errorf("sa/memory: encryption %d with integrity %d: %w", c.Encr, c.Integ, sdk.ErrUnsupported)
	}
	return max(cipher.key, int(c.KeyBits)/8) + cipher.salt, integ, nil
}

// clone has memory of its own. Empty keys become nil, so that copies compare equal.
func clone(c sa.Child) sa.Child {
	c.EncrIn, c.EncrOut = c.EncrIn.Clone(), c.EncrOut.Clone()
	c.IntegIn, c.IntegOut = c.IntegIn.Clone(), c.IntegOut.Clone()
	c.LocalTS, c.RemoteTS, c.Addresses = slices.Clone(c.LocalTS), slices.Clone(c.RemoteTS), slices.Clone(c.Addresses)
	return c
}

// sameSAs tells whether two descriptions are of the same SAs: what Update may not change.
func sameSAs(a, b sa.Child) bool {
	return a.SPIIn == b.SPIIn && a.SPIOut == b.SPIOut && a.Encr == b.Encr && a.KeyBits == b.KeyBits && a.Integ == b.Integ && a.ESN == b.ESN &&
		a.EncrIn.Equal(b.EncrIn) && a.EncrOut.Equal(b.EncrOut) && a.IntegIn.Equal(b.IntegIn) && a.IntegOut.Equal(b.IntegOut)
}

func withoutKeys(c sa.Child) sa.Child {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil
	return c
}

func wipe(c sa.Child) {
	for _, k := range []secret.Bytes{c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut} {
		k.Wipe()
	}
}
