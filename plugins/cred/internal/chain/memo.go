package chain

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

const (
	// maxMemo bounds the paths that are remembered: a gateway has fewer peers, or forgets some of them.
	maxMemo = 256
	// maxMemoSize bounds the octets of certificates in one of them.
	maxMemoSize = 8 << 10
)

// memo remembers which certificates lead to an authority, so that a peer that comes again does not cost the verification of its
// issuers' signatures again. It holds what never changes; dates are looked at each time, and all else, revocation included, is the
// caller's. It dies with the set of authorities.
type memo struct {
	mu    sync.Mutex
	paths map[[sha256.Size]byte][]*x509.Certificate
}

// key names all that a peer sent.
func key(certificates []*x509.Certificate) [sha256.Size]byte {
	h := sha256.New()
	for _, c := range certificates {
		h.Write(c.Raw) // DER tells its own length
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// get returns the path, nil for one that is not known or not valid now.
func (m *memo) get(certificates []*x509.Certificate, now time.Time) []*x509.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := m.paths[key(certificates)]
	for _, c := range path {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return nil
		}
	}
	return path
}

// put remembers a path of its own: the octets of certificates are wiped when the request is over.
func (m *memo) put(certificates, path []*x509.Certificate) {
	size := 0
	for _, c := range path {
		size += len(c.Raw)
	}
	if size > maxMemoSize {
		return
	}
	own := make([]*x509.Certificate, 0, len(path))
	for _, c := range path {
		clone, err := x509.ParseCertificate(append([]byte(nil), c.Raw...))
		if err != nil {
			return
		}
		own = append(own, clone)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paths == nil || len(m.paths) >= maxMemo {
		m.paths = map[[sha256.Size]byte][]*x509.Certificate{}
	}
	m.paths[key(certificates)] = own
}
