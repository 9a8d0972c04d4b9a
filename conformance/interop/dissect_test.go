package interop

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// TestWiresharkUnderstandsOurMessages: the messages of two parleyd, forced to UDP 4500 so that both ports are seen, from the
// first to the delete.
func TestWiresharkUnderstandsOurMessages(t *testing.T) {
	root, err := lab.Unpack(lab.TSharkPackages, os.Stderr)
	if errors.Is(err, lab.ErrNoPackages) {
		t.Skipf("SKIPPED, not proven here: no tshark: %v", err)
	}
	must(t, err)
	s := newSite(t, v4in4)
	east := s.newGateway(t, s.east, "CONNECTION", "force_encap = true")
	start(t, east, "--export-keys", east.Path("keys"))
	s.gateway(t, s.west, "CONNECTION", "force_encap = true")
	file, err := os.Create(filepath.Join(s.dir, "ike.pcap"))
	must(t, err)
	defer file.Close()
	must(t, s.capture.Record(file))
	parley(t, east, "up", "west")
	s.pings(t, 2)
	parley(t, east, "down", "west")
	must(t, s.capture.StopRecord())
	lines := dissect(t, root, file.Name())
	for _, want := range []string{"34|0x08", "34|0x20", "35|0x08", "35|0x20", "37|0x08", "37|0x20"} { // IKE_SA_INIT, IKE_AUTH, INFORMATIONAL: request and response (RFC 7296 section 3.1)
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want+"|") }) {
			t.Errorf("no message %s in:\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, l := range lines {
		if !strings.HasSuffix(l, "|") {
			t.Errorf("tshark finds a message malformed: %s", l)
		}
	}
	opensWith(t, root, file.Name(), exported(t, east.Path("keys")))
}

// TestWiresharkReadsMainMode: the key that --export-keys writes opens IDii and HASH_I of main mode, and quick mode (RFC 2409 sections 5
// and 5.5).
func TestWiresharkReadsMainMode(t *testing.T) {
	root, err := lab.Unpack(lab.TSharkPackages, os.Stderr)
	if errors.Is(err, lab.ErrNoPackages) {
		t.Skipf("SKIPPED, not proven here: no tshark: %v", err)
	}
	must(t, err)
	s := newSite(t, v4in4)
	east := s.newGateway(t, s.east, "CONNECTION", "version = 1")
	start(t, east, "--export-keys", east.Path("keys"))
	s.gateway(t, s.west, "CONNECTION", "version = 1")
	file, err := os.Create(filepath.Join(s.dir, "ike.pcap"))
	must(t, err)
	defer file.Close()
	must(t, s.capture.Record(file))
	parley(t, east, "up", "west")
	s.pings(t, 2)
	must(t, s.capture.StopRecord())
	keys := exported(t, east.Path("keys"))
	cookie, key, _ := strings.Cut(keys[1], ",")
	other := []string{"-o", cookie + "," + key[2:] + key[:2]}
	for exchange, payload := range map[string]string{"2": "8", "32": "10"} { // the hash behind an identity in main mode, a nonce in quick mode
		if !reads(t, root, file.Name(), keys, exchange, payload) || reads(t, root, file.Name(), nil, exchange, payload) || reads(t, root, file.Name(), other, exchange, payload) {
			t.Errorf("payload %s of exchange %s shows otherwise than by the exported key alone", payload, exchange)
		}
	}
}

// reads reports whether a message of an exchange shows a payload of a type.
func reads(t *testing.T, root lab.Root, file string, keys []string, exchange, payload string) bool {
	t.Helper()
	return slices.ContainsFunc(dissect(t, root, file, keys...), func(l string) bool {
		fields := strings.Split(l, "|")
		return fields[0] == exchange && len(fields) > 2 && fields[1] == "0x01" && slices.Contains(strings.Split(fields[2], ","), payload)
	})
}

// opensWith expects that the exported keys decrypt a capture: IDi and AUTH show in the first message of IKE_AUTH (RFC 7296 section
// 3.2), as they do not without the keys, and with those of the other direction.
func opensWith(t *testing.T, root lab.Root, file string, keys []string) {
	t.Helper()
	fields := strings.Split(keys[1], ",") // table:SPIi, SPIr, SK_ei, SK_er, ...
	fields[2], fields[3] = fields[3], fields[2]
	for _, c := range []struct {
		what  string
		keys  []string
		opens bool
	}{
		{"the exported keys", keys, true},
		{"no keys", nil, false},
		{"the keys of the other direction", []string{"-o", strings.Join(fields, ",")}, false},
	} {
		open := slices.ContainsFunc(dissect(t, root, file, c.keys...), func(l string) bool {
			fields := strings.Split(l, "|")
			types := strings.Split(fields[2], ",")
			return fields[0] == "35" && slices.Contains(types, "35") && slices.Contains(types, "39")
		})
		if open != c.opens {
			t.Errorf("with %s tshark reads IKE_AUTH: %t, want %t", c.what, open, c.opens)
		}
	}
}

// exported returns what --export-keys wrote as arguments of tshark.
func exported(t *testing.T, file string) (args []string) {
	t.Helper()
	lines, err := os.ReadFile(file)
	must(t, err)
	for line := range strings.Lines(string(lines)) {
		args = append(args, "-o", strings.TrimSpace(line))
	}
	if len(args) != 2 {
		t.Fatalf("one IKE SA exported %d arguments: %q", len(args), args)
	}
	return args
}

// dissect returns exchange type, flags, payload types and complaints of each IKE message in a file.
func dissect(t *testing.T, root lab.Root, file string, args ...string) []string {
	t.Helper()
	cmd := root.Command(short(t), "/usr/bin/tshark", append(args, "-r", file, "-Y", "isakmp", "-T", "fields", "-E", "separator=|",
		"-e", "isakmp.exchangetype", "-e", "isakmp.flags", "-e", "isakmp.typepayload", "-e", "_ws.malformed")...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, complaints.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
