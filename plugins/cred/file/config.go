package file

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/serve"
)

// MaxPSKs bounds the entries of a configuration: ten times the largest hub we know of, some 30 MB with all keys loaded.
const MaxPSKs = 100_000

// Config is the configuration of the store.
type Config struct {
	PSKs        []PSK       `json:"psks"`
	Keys        []Key       `json:"keys,omitempty"`
	Authorities []Authority `json:"authorities,omitempty"`
	PublicKeys  []PublicKey `json:"public_keys,omitempty"`
	Passwords   []Password  `json:"passwords,omitempty"`
}

// PSK says whose key lies in a file.
type PSK struct {
	Remote Identity  `json:"remote"`          // the peer; type 0: any
	Local  *Identity `json:"local,omitempty"` // ourselves; nil or type 0: any
	File   string    `json:"file"`            // absolute path
	Name   string    `json:"name,omitempty"`  // for people
}

// Identity is a cred.Identity in JSON.
type Identity struct {
	Type uint8  `json:"type"`
	Data []byte `json:"data,omitempty"` // base64
}

//go:embed schema.json
var schema string

// Schema implements serve.Configurer: the JSON Schema of Config.
func (*Plugin) Schema() string { return schema }

// ParseConfig reads a Config from JSON; an unknown key is an error. Empty text is the empty configuration.
func ParseConfig(text []byte) (Config, error) {
	var config Config
	if len(bytes.TrimSpace(text)) == 0 {
		return config, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return Config{}, fmt.Errorf("cred/file: configuration: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("cred/file: configuration: text after its end")
	}
	return config, nil
}

// Configure implements serve.Configurer: it replaces the configuration. A bad file is no reason to refuse the others, see
// Validate. Private keys are read, because what their passphrases cost should not delay their first use.
func (p *Plugin) Configure(_ context.Context, _ serve.Env, text []byte) error {
	config, err := ParseConfig(text)
	if err != nil {
		return err
	}
	if err := p.Set(config); err != nil {
		return err
	}
	_ = p.ring().problems(p.now()) // they are told where a file is used
	return nil
}

// Validate implements serve.Configurer: it checks a configuration and every file that it names.
func (p *Plugin) Validate(text []byte) []string {
	config, err := ParseConfig(text)
	if err != nil {
		return []string{err.Error()}
	}
	entries, psks := index(config)
	passwords, users := indexPasswords(config)
	keys, err := newKeyring(config)
	if err := errors.Join(psks, users, err); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	var problems []string
	for _, e := range slices.AppendSeq(slices.Collect(maps.Values(entries)), maps.Values(passwords)) {
		if err := e.refresh(p.now()); err != nil {
			problems = append(problems, err.Error())
		}
		e.wipe()
	}
	problems = append(problems, keys.problems(p.now())...)
	slices.Sort(problems)
	return problems
}

// pair is an index key: the identities of an entry, empty for any.
type pair struct{ remote, local string }

// index checks the entries and puts them in order of their identities.
func index(config Config) (map[pair]*entry, error) {
	if len(config.PSKs) > MaxPSKs {
		return nil, fmt.Errorf("cred/file: %d pre-shared keys, at most %d are allowed", len(config.PSKs), MaxPSKs)
	}
	entries := make(map[pair]*entry, len(config.PSKs))
	var problems []error
	for n, psk := range config.PSKs {
		key, err := psk.pair()
		if err == nil && entries[key] != nil {
			err = fmt.Errorf("the same identities as %s", entries[key].path)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("cred/file: psks[%d] (%s): %w", n, psk.Name, err))
			continue
		}
		entries[key] = &entry{path: psk.File, ref: key.ref(psk)}
	}
	return entries, errors.Join(problems...)
}

func (k PSK) pair() (pair, error) {
	if !filepath.IsAbs(k.File) {
		return pair{}, fmt.Errorf("file %q: the path must be absolute", k.File)
	}
	local := Identity{}
	if k.Local != nil {
		local = *k.Local
	}
	for _, id := range []Identity{k.Remote, local} {
		if err := checkIdentity(id); err != nil {
			return pair{}, err
		}
	}
	return pair{remote: text(cred.Identity(k.Remote)), local: text(cred.Identity(local))}, nil
}

// text is an identity as an index key: its type and data, empty for any.
func text(id cred.Identity) string {
	if id.Type == 0 {
		return ""
	}
	return string(append([]byte{id.Type}, id.Data...))
}

// idFQDN is the type of names that may be patterns (RFC 7296 section 3.5).
const idFQDN = 2

// pattern is the one that a name fits, "*." in place of its first label; of other identities it is themselves.
func pattern(id cred.Identity) cred.Identity {
	label, domain, ok := bytes.Cut(id.Data, []byte("."))
	if id.Type != idFQDN || !ok || len(label) == 0 || len(domain) == 0 {
		return id
	}
	return cred.Identity{Type: idFQDN, Data: append([]byte("*."), domain...)}
}
