package bench

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"runtime"
	"time"
)

// What two operations took on the machine on which the limits were set (README.md): those are figures of another daemon there, and a
// slower machine is held against them by the ratio.
const (
	referenceX25519 = 82600 * time.Nanosecond // a key pair and a shared secret
	referenceRSA    = 980 * time.Microsecond  // a signature with 2048 bits
)

// Machine names the class of machine that figures are from, and how fast it is now: the least of some rounds.
func Machine() string {
	x, r := speed()
	return fmt.Sprintf("%d CPUs, %s/%s, %s; X25519 takes %.0f µs and a signature with RSA-2048 %.0f µs, %.2f and %.2f times those of the machine of the limits",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), micro(x), micro(r), float64(x)/float64(referenceX25519), float64(r)/float64(referenceRSA))
}

func speed() (x25519, rsa2048 time.Duration) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, 0
	}
	digest := sha256.Sum256(nil)
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return 0, 0
	}
	x25519 = leastOf(100, func() {
		if own, err := ecdh.X25519().GenerateKey(rand.Reader); err == nil {
			_, _ = own.ECDH(peer.PublicKey())
		}
	})
	return x25519, leastOf(20, func() { _, _ = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]) })
}

func leastOf(rounds int, f func()) (least time.Duration) {
	for range rounds {
		begin := time.Now()
		f()
		if took := time.Since(begin); least == 0 || took < least {
			least = took
		}
	}
	return least
}
