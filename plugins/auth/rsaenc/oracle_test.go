package rsaenc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"math"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/auth/rsaenc"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/cred/rsaes"
	"github.com/parley-ike/parley/sdk/secret"
)

// store decrypts as the credential store does that comes with Parley: with implicit rejection.
type store struct{ host }

func (s *store) Decrypt(_ context.Context, r cred.DecryptRequest) (secret.Bytes, error) {
	return rsaes.Decrypt(s.ours[0], r.Data)
}

func newStore(t testing.TB, bits int) *store {
	key := newKey(t, bits)
	return &store{host{ours: []*rsa.PrivateKey{key}, peer: &key.PublicKey}}
}

// protect encrypts a nonce for the store.
func (s *store) protect(t testing.TB, size int) []byte {
	t.Helper()
	p, err := rsaenc.New().Protect(t.Context(), s, auth.Protect{Auth: rsaenc.Standard, Plain: []secret.Bytes{make([]byte, size)}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Cipher[0]
}

func (s *store) unprotect(t testing.TB, ciphertext []byte) secret.Bytes {
	t.Helper()
	plain, err := rsaenc.New().Unprotect(t.Context(), s, auth.Unprotect{Auth: rsaenc.Standard, Cipher: [][]byte{ciphertext}})
	if err != nil || len(plain) != 1 {
		t.Fatalf("%d plaintexts, %v: a stranger sees that", len(plain), err)
	}
	return plain[0]
}

// mangled changes a good ciphertext at random, and keeps it below the modulus.
func mangled(random *mathrand.Rand, good []byte) []byte {
	c := slices.Clone(good)
	for range 1 + random.IntN(4) {
		c[1+random.IntN(len(c)-1)] ^= byte(1 + random.IntN(255))
	}
	return c
}

// Ten thousand ciphertexts that nobody has encrypted: each is answered by one plaintext, always the same for it, of any length that a
// true one may have. So neither an error nor a length tells the paddings apart, and only who has the key can know the octets.
func TestTenThousandMangledCiphertextsTellNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t, 1024)
	good := s.protect(t, 32)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	const tries, longest = 10000, 1024/8 - 11
	lengths, seen := [longest + 1]int{}, map[string]bool{}
	for n := range tries {
		c := mangled(random, good)
		plain := s.unprotect(t, c)
		if len(plain) > longest {
			t.Fatalf("a plaintext of %d octets, and a true one has at most %d", len(plain), longest)
		}
		if n%100 == 0 && !bytes.Equal(plain, s.unprotect(t, c)) {
			t.Fatal("another plaintext the second time")
		}
		lengths[len(plain)]++
		if len(plain) >= 16 {
			seen[string(plain)] = true
		}
	}
	for n, count := range lengths { // 85 are expected of each; 9 standard deviations are 83
		if count < 2 || count > 168 {
			t.Errorf("%d plaintexts of %d octets, want about %d", count, n, tries/(longest+1))
		}
	}
	if want := tries * (longest - 32) / (longest + 1); len(seen) < want {
		t.Errorf("%d plaintexts of 16 octets or more differ, want more than %d", len(seen), want)
	}
}

// BenchmarkPaddingTime compares how long good and bad paddings take, in pairs at random order, by Welch's t-test over the faster
// half of each, in CPU time. Below 4.5 there is no evidence of a difference, which is what is wanted; the figure t is its
// absolute value. good and bad are the means in microseconds.
func BenchmarkPaddingTime(b *testing.B) {
	const pairs = 10000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := newStore(b, 2048)
	random := mathrand.New(mathrand.NewPCG(3, 4))
	var goods, bads [16][]byte
	for i := range goods {
		goods[i] = s.protect(b, 32)
		bads[i] = make([]byte, len(goods[i]))
		_, _ = rand.Read(bads[i][1:]) // below the modulus; the padding is good once in 2^17
	}
	for b.Loop() {
		var good, bad []float64
		for range pairs {
			i, first := random.IntN(len(goods)), random.IntN(2)
			for j := range 2 {
				if (j == 0) == (first == 0) {
					good = append(good, s.time(b, goods[i]))
				} else {
					bad = append(bad, s.time(b, bads[i]))
				}
			}
		}
		good, bad = trimmed(good), trimmed(bad)
		b.ReportMetric(math.Abs(welch(good, bad)), "t")
		m, _ := moments(good)
		b.ReportMetric(m, "good-µs")
		m, _ = moments(bad)
		b.ReportMetric(m, "bad-µs")
	}
}

// time returns how much CPU time of this thread a decryption takes, in microseconds: what other processes do does not count.
func (s *store) time(b *testing.B, ciphertext []byte) float64 {
	begin := cpuTime(b)
	s.unprotect(b, ciphertext)
	return cpuTime(b) - begin
}

func cpuTime(b *testing.B) float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return float64(t.Nano()) / 1000
}

// trimmed leaves the slower half out: interruptions, cold caches, the garbage collector's help.
func trimmed(x []float64) []float64 {
	slices.Sort(x)
	return x[:len(x)/2]
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}

// welch is Welch's t.
func welch(a, b []float64) float64 {
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	return (meanA - meanB) / math.Sqrt(varA/float64(len(a))+varB/float64(len(b)))
}
