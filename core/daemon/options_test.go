package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const emptyConfig = "daemon { name = \"here\" }\n"

func optionsIn(t *testing.T, runtimeDir string) Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parley.hcl")
	if err := os.WriteFile(path, []byte(emptyConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{Config: path, RuntimeDir: runtimeDir}
}

func TestTheCommandLineOverridesTheConfiguration(t *testing.T) {
	t.Parallel()
	o := optionsIn(t, "/run/x")
	o.Name, o.StateDir, o.Journal = "there", "/var/x", "/var/j"
	s, err := o.Load()
	if err != nil {
		t.Fatal(err)
	}
	d := s.Daemon
	if d.Name != "there" || d.RuntimeDir != "/run/x" || d.ControlSocket != "/run/x/control.sock" || d.StateDir != "/var/x" || d.Journal != "/var/j" || s.NATS.StoreDir != "/var/x/nats" {
		t.Errorf("got %+v, %+v", d, s.NATS)
	}
}

func TestARuntimeFolderThatIsTooLongForSocketsIsRefusedByName(t *testing.T) {
	t.Parallel()
	fitting := "/" + strings.Repeat("x", maxRuntimeDir-1)
	if _, err := optionsIn(t, fitting).Load(); err != nil {
		t.Errorf("%d octets: %v", len(fitting), err)
	}
	_, err := optionsIn(t, fitting+"x").Load()
	if err == nil || !strings.Contains(err.Error(), fitting+"x has 68 octets") || !strings.Contains(err.Error(), "--runtime-dir") {
		t.Errorf("one octet more: %v", err)
	}
}
