package daemon

import (
	"encoding/json"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/policy"
)

// storedIdentity and what follows are the configuration of the cred/file plugin.
type storedIdentity struct {
	Type uint8  `json:"type"`
	Data []byte `json:"data"`
}

type storedPSK struct {
	Name   string          `json:"name"`
	File   string          `json:"file"`
	Remote storedIdentity  `json:"remote"`
	Local  *storedIdentity `json:"local,omitempty"`
}

type storedKey struct {
	Name        string         `json:"name"`
	Local       storedIdentity `json:"local"`
	Certificate string         `json:"certificate,omitempty"`
	Key         string         `json:"key,omitempty"`
	Passphrase  string         `json:"passphrase,omitempty"`
	Purpose     string         `json:"purpose"`
}

type storedAuthority struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	AllowWeak bool   `json:"allow_weak,omitempty"`
}

type storedPublicKey struct {
	Name    string         `json:"name"`
	Remote  storedIdentity `json:"remote"`
	File    string         `json:"file"`
	Purpose string         `json:"purpose"`
}

type storedPassword struct {
	User string `json:"user"`
	File string `json:"file"`
	Own  bool   `json:"own,omitempty"`
}

// stored is the whole of it; a store of before there were private keys takes it as long as there is none.
type stored struct {
	PSKs        []storedPSK       `json:"psks"`
	Keys        []storedKey       `json:"keys,omitempty"`
	Authorities []storedAuthority `json:"authorities,omitempty"`
	PublicKeys  []storedPublicKey `json:"public_keys,omitempty"`
	Passwords   []storedPassword  `json:"passwords,omitempty"`
}

func storedID(id policy.Identity) storedIdentity {
	return storedIdentity{uint8(id.Type), []byte(id.Data)}
}

// credentials is what the configuration says about them, for the store.
func credentials(s *config.Snapshot) ([]byte, error) {
	out := stored{PSKs: make([]storedPSK, 0, len(s.Credentials))}
	for _, c := range s.Credentials {
		p := storedPSK{Name: c.Remote, File: c.File, Remote: storedID(c.RemoteID)}
		if c.Local != "" {
			local := storedID(c.LocalID)
			p.Local = &local
		}
		out.PSKs = append(out.PSKs, p)
	}
	for _, k := range s.Keys.Own {
		out.Keys = append(out.Keys, storedKey{Name: k.Identity, Local: storedID(k.ID), Certificate: k.File, Key: k.Key, Passphrase: k.Passphrase, Purpose: k.Purpose})
	}
	for _, a := range s.Keys.Authorities {
		out.Authorities = append(out.Authorities, storedAuthority(a))
	}
	for _, p := range s.Keys.Peers {
		out.PublicKeys = append(out.PublicKeys, storedPublicKey{Name: p.Identity, Remote: storedID(p.ID), File: p.File, Purpose: p.Purpose})
	}
	for _, p := range s.Passwords {
		out.Passwords = append(out.Passwords, storedPassword(p))
	}
	return json.Marshal(out)
}
