package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordedSAsReplayWithoutDivergence: with --journal every SA is recorded, in files that only their owner may read,
// and replaying one gives the same effects, for both roles.
func TestRecordedSAsReplayWithoutDivergence(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.newGateway(t, s.east), s.newGateway(t, s.west)
	start(t, east, "--journal", east.Path("journal"))
	start(t, west, "--journal", west.Path("journal"))
	parley(t, east, "up", "west")
	s.pings(t, 2)
	parley(t, east, "down", "west")
	must(t, east.Stop())
	must(t, west.Stop())
	replays(t, s, east.Path("journal"), "IKEv2 initiator of west", "tell ike_sa.established", "tell ike_sa.deleted")
	replays(t, s, west.Path("journal"), "IKEv2 responder", "tell ike_sa.established", "tell ike_sa.deleted")
}

// replays demands that a folder holds one record, which replays and shows some things.
func replays(t *testing.T, s *site, dir string, shows ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%s holds %d files, want the record of one SA", dir, len(files))
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want mode 0600: it holds keys", files[0], info.Mode(), err)
	}
	g := s.newGateway(t, s.east)
	out := parley(t, g, "replay", files[0])
	contains(t, out, shows...)
	if strings.Contains(out, secretKey) {
		t.Error("the replay shows a key")
	}
	damage(t, files[0])
	if out, err := g.Parley(short(t), "replay", files[0]); err == nil {
		t.Errorf("a damaged record replays:\n%s", out)
	}
}

// damage changes the octet in the middle of a file.
func damage(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(file, raw, 0o600))
}
