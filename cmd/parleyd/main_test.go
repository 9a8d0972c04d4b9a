package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A wrong command line is told with what would be right, and is never an error of another kind: scripts see it by the exit status.
func TestAWrongCommandLineIsToldAsSuch(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "parley.hcl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"start":                               `unknown command "start" for "parleyd"`,
		"check a b":                           `parleyd check: "b" is one argument too many; see parleyd check --help`,
		"check -o xml " + empty:               `unknown output "xml": use text or json`,
		"--config":                            "flag needs an argument: --config",
		"--log-level loud --config " + empty:  `unknown log level "loud": use debug, info, warn or error`,
		"--log-format tree --config " + empty: `unknown log format "tree": use console, json or auto`,
	} {
		c := command()
		c.SetArgs(strings.Fields(line))
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		var usage usageError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}
