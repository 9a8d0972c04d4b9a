package suite

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

func load[T any](t testing.TB, name string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// RFC 2202, RFC 4231, RFC 4868: every HMAC in its two roles.
func TestHMACGivesThePublishedValues(t *testing.T) {
	t.Parallel()
	type vector struct {
		Source, Alg    string
		Key, Data, Mac hexBytes
	}
	seen := map[string]int{}
	for _, v := range load[[]vector](t, "hmac.json") {
		if got := hmacByName(t, v.Alg, v.Key, v.Data); !bytes.Equal(got, v.Mac) {
			t.Errorf("%s, %s: got %x, want %x", v.Source, v.Alg, got, v.Mac)
		}
		seen[v.Alg]++
	}
	if want := len(prfs) + len(integrities); len(seen) != want {
		t.Errorf("vectors for %d algorithms, want all %d: %v", len(seen), want, seen)
	}
}

func hmacByName(t *testing.T, name string, key, data []byte) []byte {
	t.Helper()
	if p, ok := row(prfs, func(p *PRF) bool { return p.Name == name }); ok {
		half := len(data) / 2
		return p.Sum(key, data[:half], data[half:])
	}
	i, ok := row(integrities, func(i *Integrity) bool { return i.Name == name })
	if !ok {
		t.Fatalf("no algorithm %s", name)
	}
	b := cbcBox{mac: i.newMAC(key), icvLen: i.ICVLen}
	b.icv([]byte("a message before"))
	return b.icv(data)
}

// RFC 3602 section 4: four plain cases and four ESP packets.
func TestAESCBCGivesThePublishedValues(t *testing.T) {
	t.Parallel()
	type vector struct {
		Source           string
		Key, IV, Msg, CT hexBytes
	}
	e, _ := LookupEncryption(EncrAESCBC)
	i, _ := LookupIntegrity(IntegHMACSHA1_96)
	vectors := load[[]vector](t, "aes_cbc.json")
	if len(vectors) != 8 {
		t.Fatalf("%d vectors, want 8", len(vectors))
	}
	for _, v := range vectors {
		b, err := newCBCBox(e, i, v.Key, make([]byte, i.KeyLen))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := b.seal(append(make([]byte, e.IVLen), v.Msg...), 0, bytes.NewReader(v.IV))
		if err != nil {
			t.Fatal(err)
		}
		if got := sealed[e.IVLen : len(sealed)-i.ICVLen]; !bytes.Equal(got, v.CT) {
			t.Errorf("%s: ciphertext %x, want %x", v.Source, got, v.CT)
		}
		if plain, ok := b.open(sealed, 0); !ok || !bytes.Equal(plain, v.Msg) {
			t.Errorf("%s: plaintext %x %t, want %x", v.Source, plain, ok, v.Msg)
		}
	}
}

// Wycheproof: AES-GCM with keys of all lengths and ChaCha20-Poly1305, valid and forged. Nonces are cut into salt and IV
// as RFC 5282 section 4 and RFC 7634 section 2 do.
func TestAEADsAgreeWithWycheproof(t *testing.T) {
	t.Parallel()
	for file, id := range map[string]EncrID{
		"wycheproof/aes_gcm_test.json":           EncrAESGCM16,
		"wycheproof/chacha20_poly1305_test.json": EncrChaCha20Poly1305,
	} {
		e, _ := LookupEncryption(id)
		run := runWycheproof(t, e, load[wycheproof](t, file))
		if run["valid"] < 20 || run["invalid"] < 10 {
			t.Errorf("%s: too few tests ran: %v", file, run)
		}
	}
}

type wycheproof struct {
	TestGroups []struct{ Tests []wycheproofTest }
}

type wycheproofTest struct {
	TcID                       int
	Result                     string
	Key, IV, AAD, Msg, CT, Tag hexBytes
}

func runWycheproof(t *testing.T, e *Encryption, file wycheproof) map[string]int {
	t.Helper()
	run := map[string]int{}
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			checkWycheproof(t, e, v)
			run[v.Result]++
		}
	}
	return run
}

func checkWycheproof(t *testing.T, e *Encryption, v wycheproofTest) {
	t.Helper()
	b, err := newAEADBox(e, append(v.Key, v.IV[:e.SaltLen]...), new(uint64))
	if err != nil {
		t.Fatal(err)
	}
	iv := v.IV[e.SaltLen:]
	packet := bytes.Join([][]byte{v.AAD, iv, v.CT, v.Tag}, nil)
	plain, ok := b.open(packet, len(v.AAD))
	if ok != (v.Result == "valid") || (ok && !bytes.Equal(plain, v.Msg)) {
		t.Errorf("%s test %d (%s): plaintext %x %t", e.Name, v.TcID, v.Result, plain, ok)
	}
	*b.sealed = uint64At(iv)
	sealed, err := b.seal(bytes.Join([][]byte{v.AAD, make([]byte, e.IVLen), v.Msg}, nil), len(v.AAD), nil)
	if err != nil || bytes.Equal(sealed, packet) != (v.Result == "valid") {
		t.Errorf("%s test %d (%s): sealed to %x, %v", e.Name, v.TcID, v.Result, sealed, err)
	}
}

func uint64At(b []byte) (v uint64) {
	for _, o := range b[:8] {
		v = v<<8 | uint64(o)
	}
	return v
}
