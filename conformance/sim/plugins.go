package sim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// hashKE stands in for a key exchange: both ends hash both public values. It is no secret to anybody, but it is quick and
// its randomness comes from the world.
type hashKE struct{ rand *rand.ChaCha8 }

const hashKELen = 32

func (hashKE) Methods() []ke.Method {
	return []ke.Method{{ID: 31, Name: "CURVE25519"}, {ID: 19, Name: "ECP_256"}}
}

func (k hashKE) public() []byte {
	b := make([]byte, hashKELen)
	_, _ = k.rand.Read(b)
	return b
}

func (k hashKE) Initiate(context.Context, uint16) (secret.Bytes, []byte, error) {
	p := k.public()
	return bytes.Clone(p), p, nil
}

func (k hashKE) Respond(_ context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	p := k.public()
	shared, err := agree(method, peer, p)
	return p, shared, err
}

func (hashKE) Finish(_ context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	return agree(method, state, peer)
}

func agree(method uint16, initiator, responder []byte) (secret.Bytes, error) {
	if len(initiator) != hashKELen || len(responder) != hashKELen {
		return nil, fmt.Errorf("sim: %w: public value of another size", sdk.ErrInvalid)
	}
	sum := sha256.Sum256(slices.Concat([]byte{byte(method)}, initiator, responder))
	return sum[:], nil
}

// store is a credential store with one key for everybody.
type store struct{ key []byte }

func (s store) Find(context.Context, cred.Query) ([]cred.Ref, error) {
	return []cred.Ref{{ID: "sim"}}, nil
}

func (s store) MAC(_ context.Context, _ cred.Query, macs []cred.MAC) ([][]byte, error) {
	out := make([][]byte, len(macs))
	for i, m := range macs {
		h, ok := hashes[m.PRF]
		if !ok {
			return nil, fmt.Errorf("sim: %w: PRF %d", sdk.ErrUnsupported, m.PRF)
		}
		key := s.key // RFC 2409 section 5
		if m.Scheme == cred.IKEv2Auth {
			key = mac(h, s.key, []byte("Key Pad for IKEv2")) // RFC 7296 section 2.15
		}
		out[i] = mac(h, key, m.Data)
	}
	return out, nil
}

var hashes = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

func mac(h func() hash.Hash, key, data []byte) []byte {
	m := hmac.New(h, key)
	m.Write(data)
	return m.Sum(nil)
}

// backend is an SA backend that remembers what it was told, until it crashes.
type backend struct {
	rand     *rand.Rand
	fail     func(format string, args ...any)
	children map[sa.UID]sa.Child
	reserved map[uint32]bool // SPIs that no child has
	ever     []sa.Child      // every child that was ever installed, to find keys that are used twice
}

func (b *backend) Probe(context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{Name: "sim", Usable: true}, nil
}

func (b *backend) AllocateSPI(context.Context, netip.Addr, netip.Addr) (uint32, error) {
	return b.reserve(256 + b.rand.Uint32N(1<<31)), nil
}

func (b *backend) Install(_ context.Context, c sa.Child) error {
	if bytes.Count(c.EncrOut, []byte{0}) == len(c.EncrOut) {
		b.fail("child %x is installed with a key that was wiped", c.SPIIn)
	}
	if !slices.ContainsFunc(b.ever, func(e sa.Child) bool { return e.UID == c.UID }) {
		b.ever = append(b.ever, c)
	}
	b.children[c.UID] = c
	b.forget(c)
	return nil
}

// Update keeps what identifies a child.
func (b *backend) Update(ctx context.Context, c sa.Child) error { return b.Install(ctx, c) }

func (b *backend) FreeSPI(_ context.Context, _, _ netip.Addr, spi uint32) error {
	delete(b.reserved, spi)
	return nil
}

func (b *backend) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	delete(b.children, c.UID)
	b.forget(c)
	return sa.Usage{}, nil
}

func (b *backend) Usage(context.Context, sa.Child) (sa.Usage, error) { return sa.Usage{}, nil }

// List returns the children in the order of their UIDs, because maps have none.
func (b *backend) List(context.Context, string) ([]sa.Child, error) {
	var all []sa.Child
	for _, c := range b.children {
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y sa.Child) int { return bytes.Compare(x.UID[:], y.UID[:]) })
	return all, nil
}

// crash loses everything.
func (b *backend) crash() { b.children, b.reserved = map[sa.UID]sa.Child{}, map[uint32]bool{} }
