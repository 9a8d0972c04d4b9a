package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// Plugin implements cred.Store, sdk.Prompt and sdk.Canary.
type Plugin struct {
	now func() time.Time

	mu        sync.RWMutex // held for reading during a call, so that no key is wiped under it
	entries   map[pair]*entry
	passwords map[account]*entry
	keys      *keyring
}

var _ cred.Store = (*Plugin)(nil)

// New returns a store with a configuration; the empty one is good until Configure comes.
func New(config Config) (*Plugin, error) {
	p := &Plugin{now: time.Now}
	return p, p.Set(config)
}

// Set replaces the configuration, or leaves it as it is and returns what is wrong with the new one.
func (p *Plugin) Set(config Config) error {
	entries, psks := index(config)
	passwords, users := indexPasswords(config)
	keys, err := newKeyring(config)
	if err := errors.Join(psks, users, err); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.entries {
		old.wipe()
	}
	for _, old := range p.passwords {
		old.wipe()
	}
	p.entries, p.passwords, p.keys = entries, passwords, keys
	return nil
}

// ring is the present configuration but for pre-shared keys.
func (p *Plugin) ring() *keyring {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.keys
}

// Find implements cred.Plugin.
func (p *Plugin) Find(ctx context.Context, q cred.Query) (refs []cred.Ref, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch q.Purpose {
	case cred.Signature, cred.Decryption:
		return p.ring().find(q, p.now())
	case cred.Anchor:
		return p.ring().trusted.find(p.now())
	}
	return p.findPSK(ctx, q)
}

func (p *Plugin) findPSK(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	matches, err := p.match(ctx, q)
	var refs []cred.Ref
	for _, e := range matches {
		refs = append(refs, e.ref)
	}
	return refs, err
}

// MAC implements cred.Plugin.
func (p *Plugin) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	matches, err := p.match(ctx, q)
	if err != nil {
		return nil, err
	}
	return matches[0].mac(p.now(), macs)
}

// Sign implements cred.Signer.
func (p *Plugin) Sign(ctx context.Context, r cred.SignRequest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.ring().sign(r, p.now())
}

// Decrypt implements cred.Decrypter.
func (p *Plugin) Decrypt(ctx context.Context, r cred.DecryptRequest) (secret.Bytes, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.ring().decrypt(r, p.now())
}

// Trust implements cred.Truster.
func (p *Plugin) Trust(ctx context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return cred.Verdict{}, err
	}
	return p.ring().trust(r, p.now())
}

// match returns the entries for a query, best first: for both identities, for the remote one, for the pattern that it fits, for the
// local one, for any.
func (p *Plugin) match(ctx context.Context, q cred.Query) ([]*entry, error) {
	if q.Purpose != cred.PSK {
		return nil, fmt.Errorf("cred/file: purpose %d: %w: this store derives from pre-shared keys only", q.Purpose, sdk.ErrUnsupported)
	}
	remote, like, local := text(q.Remote), text(pattern(q.Remote)), text(q.Local)
	var matches []*entry
	for _, key := range []pair{{remote, local}, {remote, ""}, {like, local}, {like, ""}, {"", local}, {"", ""}} {
		if e := p.entries[key]; e != nil && !slices.Contains(matches, e) {
			matches = append(matches, e)
		}
	}
	if matches == nil {
		return nil, fmt.Errorf("cred/file: no pre-shared key for %v with %v in %s: %w", q.Remote, q.Local, p.places(), sdk.ErrNoCredential)
	}
	return matches, ctx.Err()
}

// maxPlaces bounds how many files an error names.
const maxPlaces = 5

func (p *Plugin) places() string {
	if len(p.entries) == 0 {
		return "an empty configuration"
	}
	var paths []string
	for _, e := range p.entries {
		paths = append(paths, e.path)
	}
	slices.Sort(paths)
	if more := len(paths) - maxPlaces; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(paths[:maxPlaces], ", "), more)
	}
	return strings.Join(paths, ", ")
}

// ref is the public part of an entry. Its ID follows from the identities, so that it outlives a change of the key.
func (k pair) ref(psk PSK) cred.Ref {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", k.remote, k.local))
	return cred.Ref{ID: hex.EncodeToString(sum[:8]), Source: psk.File}
}

// canary holds the first 16 octets of the derivation by PRF, for the key and data of RFC 4231 section 4.3.
var canary = map[uint16]string{
	2: "947c12a8dc535c615c71ae8e7fde9dd2", 5: "409ef2e372c4be8df69964b1409d24c2",
	6: "8caa0c3606726ee0a7fb156be37a57dc", 7: "871c152d5feb23e411309945cd74f651",
}

// Canary implements sdk.Canary: the derivation with a known key, against a value computed with another implementation
// of HMAC. It touches no file: a bad one is told of where it is used, and by Validate.
func (p *Plugin) Canary(ctx context.Context) error {
	k := keys{psk: []byte("Jefe")}
	for _, id := range slices.Sorted(maps.Keys(canary)) {
		got, err := k.mac(cred.MAC{Scheme: cred.IKEv2Auth, PRF: id, Data: []byte("what do ya want for nothing?")})
		if err != nil {
			return err
		}
		if hex.EncodeToString(got[:16]) != canary[id] {
			return errors.New("cred/file: the canary derivation gave another value: do not trust this machine")
		}
	}
	return ctx.Err()
}

// Prompt implements sdk.Prompt: a file that is small and local is read in microseconds.
func (*Plugin) Prompt() {}
