package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/serve"
)

func peer(name string) cred.Query {
	return cred.Query{Purpose: cred.PSK, Remote: cred.Identity{Type: fqdn, Data: []byte(name)}}
}

func TestTheExampleConforms(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() cred.Plugin {
		s := &store{}
		config := fmt.Appendf(nil, `{"domain":"example.net","file":%q}`, path)
		if problems := s.Validate(config); problems != nil {
			t.Error(problems)
		}
		if err := s.Configure(t.Context(), serve.Env{}, config); err != nil {
			t.Error(err)
		}
		return s
	}
	kit.Cred(t, kit.CredFixture{
		Open: open, Known: peer("west.example.net"), Key: []byte("a key"), Unknown: peer("west.example.com"),
	})
}
