package file

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/plugins/cred/internal/chain"
	"github.com/parley-ike/parley/plugins/cred/internal/container"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// authorities are all entries together, as the last look at their files found them.
type authorities struct {
	entries []*watched[*found]

	mu      sync.Mutex
	of      []*found // what all was made of
	anchors *chain.Anchors
}

// found is what the files of an entry held, and what was wrong with some. It never changes.
type found struct {
	anchors  []chain.Anchor
	problems []error
}

func newAuthority(a Authority) *watched[*found] {
	return &watched[*found]{paths: []string{a.Path}, load: func(files []string) (*found, error) {
		f := &found{}
		for _, path := range files {
			f.add(path, a.AllowWeak)
		}
		if len(f.anchors) == 0 && len(f.problems) == 0 {
			f.problems = append(f.problems, fmt.Errorf("cred/file: %s: no certificate of an authority in it: put files with the suffix .pem, .crt, .cer or .der there", a.Path))
		}
		return f, nil
	}}
}

func (f *found) add(path string, weak bool) {
	content, err := parseFile(path, checkPublic, nil)
	switch {
	case err == nil && len(content.Keys) > 0:
		err = fmt.Errorf("%s: it holds a private key, which nobody needs in order to trust an authority: name a file with its certificate alone", path)
	case errors.Is(err, container.ErrPassphrase):
		err = fmt.Errorf("%s: it is encrypted: name a file with the certificate of the authority alone", path)
	case err == nil && len(content.Certificates) == 0:
		err = fmt.Errorf("%s: it holds %v and no certificate: name the certificate of the authority", path, content)
	}
	if err != nil {
		f.problems = append(f.problems, fmt.Errorf("cred/file: %w", err))
		return
	}
	for _, c := range content.Certificates {
		f.anchors = append(f.anchors, chain.Anchor{Certificate: c, Source: path, AllowWeak: weak})
	}
}

// get returns the authorities; a bad file takes only its own away.
func (a *authorities) get(now time.Time) *chain.Anchors {
	var of []*found
	for _, e := range a.entries {
		f, _ := e.get(now) // its problems are in it
		of = append(of, f)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.anchors == nil || !slices.Equal(a.of, of) {
		var all []chain.Anchor
		for _, f := range of {
			all = append(all, f.anchors...)
		}
		a.of, a.anchors = of, chain.NewAnchors(all)
	}
	return a.anchors
}

func (a *authorities) problems(now time.Time) (all []error) {
	for _, e := range a.entries {
		f, _ := e.get(now)
		all = append(all, f.problems...)
	}
	return all
}

// find returns them all, for those who ask a peer for certificates.
func (a *authorities) find(now time.Time) ([]cred.Ref, error) {
	var refs []cred.Ref
	for _, one := range a.get(now).List() {
		sum := sha256.Sum256(one.Certificate.Raw)
		ref := cred.Ref{ID: fmt.Sprintf("%d:%s", cred.Anchor, hex.EncodeToString(sum[:16])), Source: one.Source,
			Chain: [][]byte{one.Certificate.Raw}, Public: one.Certificate.RawSubjectPublicKeyInfo}
		if !slices.ContainsFunc(refs, func(r cred.Ref) bool { return r.ID == ref.ID }) {
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("cred/file: no authority: %w", errors.Join(append(a.problems(now), errNoAuthority, sdk.ErrNoCredential)...))
	}
	return refs, nil
}

var errNoAuthority = errors.New("add credentials { ca \"NAME\" { file = \"FILE\" } }")
