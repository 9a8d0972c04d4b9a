package ikev2

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// Two SAs that err in the same way agree with each other. The tests of this file compute what the RFC says by other means:
// from the recorded packets and secrets, with the standard library alone.

// prfPlus is RFC 7296 section 2.13 with HMAC-SHA-256.
func prfPlus(key, seed []byte, n int) (out []byte) {
	var last []byte
	for i := byte(1); len(out) < n; i++ {
		last = prf(key, last, seed, []byte{i})
		out = append(out, last...)
	}
	return out[:n]
}

func prf(key []byte, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(slices.Concat(data...))
	return m.Sum(nil)
}

// dialogue is what an observer who knows the shared secret sees of a handshake with AES-GCM-256 and HMAC-SHA-256.
type dialogue struct {
	init1, init2         []byte
	ni, nr               []byte
	d, ei, er, pi, pr    []byte
	childA, childB       machine.ChildSA
	idi, idr             []byte
	sourceHash, destHash []byte
}

func recordDialogue(t *testing.T) dialogue {
	t.Helper()
	p := upWorld(t)
	var r dialogue
	var agreed []byte
	for _, step := range p.journal {
		switch in := step.in.(type) {
		case machine.Datagram:
			m, err := wire2.Parse(in.Bytes)
			if n, ok := wire2.Get[wire2.Nonce](m.Payloads); ok && err == nil {
				if step.sa.initiator {
					r.init2, r.nr = in.Bytes, n.Data
				} else {
					r.init1, r.ni = in.Bytes, n.Data
					r.sourceHash, r.destHash = natHashes(m)
				}
			}
		case machine.Reply:
			if k, ok := in.Result.(machine.KEFinished); ok {
				agreed = k.Secret
			}
		}
	}
	r.idi = slices.Concat([]byte{2, 0, 0, 0}, []byte("east.example"))
	r.idr = slices.Concat([]byte{2, 0, 0, 0}, []byte("west.example"))
	r.derive(agreed)
	r.childA, r.childB = p.node("a").backend[0x1001], p.node("b").backend[0x2001]
	return r
}

func natHashes(m wire2.Message) (source, destination []byte) {
	s, _ := wire2.GetNotify(m.Payloads, wire2.NATDetectionSourceIP)
	d, _ := wire2.GetNotify(m.Payloads, wire2.NATDetectionDestinationIP)
	return s.Data, d.Data
}

// derive is RFC 7296 section 2.14 for an AEAD with 32 octets of key and 4 of salt.
func (r *dialogue) derive(agreed []byte) {
	seed := slices.Concat(r.ni, r.nr, r.init2[:16]) // both SPIs stand at the start of the second message
	all := prfPlus(prf(slices.Concat(r.ni, r.nr), agreed), seed, 32+36+36+32+32)
	for _, k := range []struct {
		to *[]byte
		n  int
	}{{&r.d, 32}, {&r.ei, 36}, {&r.er, 36}, {&r.pi, 32}, {&r.pr, 32}} {
		*k.to, all = all[:k.n], all[k.n:]
	}
}

// RFC 7296 section 2.15: the initiator signs its first message, the responder's nonce and prf(SK_pi, IDi'); the responder
// likewise.
func TestAUTHCoversWhatTheRFCSays(t *testing.T) {
	t.Parallel()
	r := recordDialogue(t)
	signed := map[string][]byte{}
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.nodes[0].hold["Sign"], p.nodes[1].hold["Authenticate"] = true, true
	p.initiate("a", nil)
	p.run()
	signed["a1"] = p.nodes[0].held[0].call.Op.(machine.Sign).Octets
	delete(p.nodes[0].hold, "Sign")
	p.run()
	op := p.nodes[1].held[0].call.Op.(machine.Authenticate)
	signed["b1"] = op.Sign.Octets
	want := map[string][]byte{
		"a1": slices.Concat(r.init1, r.nr, prf(r.pi, r.idi)),
		"b1": slices.Concat(r.init2, r.ni, prf(r.pr, r.idr)),
	}
	for _, who := range []string{"a1", "b1"} {
		if !bytes.Equal(signed[who], want[who]) {
			t.Errorf("%s signs\n%x, want\n%x", who, signed[who], want[who])
		}
	}
	if !bytes.Equal(op.Verify.Octets, want["a1"]) {
		t.Error("the responder verifies something else than the initiator signs")
	}
}

// RFC7296-2.17-1, -2: KEYMAT is prf+(SK_d, Ni | Nr); the keys from initiator to responder come first.
func TestChildKeysAreInTheOrderOfTheRFC(t *testing.T) {
	t.Parallel()
	r := recordDialogue(t)
	const n = 16 + 4 // AES-GCM-128 and its salt
	keymat := prfPlus(r.d, slices.Concat(r.ni, r.nr), 2*n)
	if !r.childA.EncrOut.Equal(keymat[:n]) || !r.childA.EncrIn.Equal(keymat[n:]) {
		t.Error("the initiator has other keys")
	}
	if !r.childB.EncrIn.Equal(keymat[:n]) || !r.childB.EncrOut.Equal(keymat[n:]) {
		t.Error("the responder has other keys")
	}
}

// RFC7296-2.23-6: the hashes of the first message cover its SPIs, of which the second is zero, and the addresses.
func TestNATDetectionHashesCoverSPIsAndAddresses(t *testing.T) {
	t.Parallel()
	r := recordDialogue(t)
	hash := func(addr string) []byte {
		b := slices.Concat(r.init1[:8], make([]byte, 8), netip.MustParseAddr(addr).AsSlice())
		sum := sha1.Sum(binary.BigEndian.AppendUint16(b, 500))
		return sum[:]
	}
	if !bytes.Equal(r.sourceHash, hash("192.0.2.1")) || !bytes.Equal(r.destHash, hash("192.0.2.2")) {
		t.Error("other hashes")
	}
}

// RFC7296-3.1: flags, versions and message IDs of the four messages; RFC7296-2.5-11: no critical bit.
func TestHeadersAreThoseOfTheRFC(t *testing.T) {
	t.Parallel()
	p := upWorld(t)
	type header struct {
		version, exchange, flags byte
		id                       uint32
	}
	var got []header
	for _, step := range p.journal {
		if d, ok := step.in.(machine.Datagram); ok {
			b := d.Bytes
			got = append(got, header{b[17], b[18], b[19], binary.BigEndian.Uint32(b[20:])})
			if b[29]&0x80 != 0 {
				t.Error("a critical bit is set")
			}
		}
	}
	want := []header{{0x20, 34, 0x08, 0}, {0x20, 34, 0x20, 0}, {0x20, 35, 0x08, 1}, {0x20, 35, 0x20, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// RFC7296-2.10-1, RFC7296-3.9-2: a nonce is long enough for every PRF that we may propose, and no two are the same.
func TestNoncesAreLongEnoughAndFresh(t *testing.T) {
	t.Parallel()
	found := 0
	for id := range suite.PRFID(64) {
		if p, ok := suite.LookupPRF(id); ok {
			found++
			if 2*nonceLen < p.KeyLen {
				t.Errorf("%d octets are less than half a key of %s", nonceLen, p.Name)
			}
		}
	}
	r := recordDialogue(t)
	if found == 0 || len(r.ni) != nonceLen || len(r.nr) != nonceLen || nonceLen < 16 || bytes.Equal(r.ni, r.nr) {
		t.Errorf("%d PRFs; nonces %x and %x", found, r.ni, r.nr)
	}
}
