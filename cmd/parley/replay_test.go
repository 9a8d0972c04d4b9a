package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/secret"
)

// private is a secret that must not show.
const private = "correct horse battery staple"

// record writes the journal of an initiator that asks, gets its key exchange value, and is told nothing more.
func record(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "example.psk"), []byte("not a real key"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("parley.hcl", []byte(testConfig), dir)
	if err != nil {
		t.Fatal(err)
	}
	protocol := engine.NewIKEv2(&ikev2.Env{Policy: c.Policy})
	b := engine.Birth{SPI: 0x0102030405060708, Seed: [32]byte{1}, Local: netip.MustParseAddrPort("192.0.2.1:500"), Remote: netip.MustParseAddrPort("192.0.2.2:500")}
	m, err := protocol.NewInitiator(b, "west")
	if err != nil {
		t.Fatal(err)
	}
	h, err := protocol.Header(b, "west")
	if err != nil {
		t.Fatal(err)
	}
	h.Created = begin
	r, err := journal.NewRecorder(dir, func(_ string, err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	track := r.Begin(h)
	now := begin
	for _, in := range []machine.Input{
		machine.Initiate{Children: []string{"lan"}},
		machine.Reply{Ticket: 1, Result: machine.KEInitiated{State: secret.Bytes(private), Public: bytes.Repeat([]byte{7}, 32)}},
		machine.Reply{Ticket: 2, Err: &machine.CallError{Kind: machine.Internal, Text: "no device"}},
	} {
		track.Record(now, machine.Owner(b.SPI), in)
		var fx machine.Effects
		m.Step(now, in, &fx)
		track.Check(machine.Owner(b.SPI), engine.Digest(fx.List()))
		now = now.Add(250 * time.Millisecond)
	}
	track.End()
	r.Close()
	return filepath.Join(dir, "0102030405060708"+journal.Suffix)
}

func TestReplayStepsThroughARecording(t *testing.T) {
	t.Parallel()
	path := record(t)
	var none *world
	got := none.run(context.Background(), &app{}, "replay", path)
	if got.status != exitOK {
		t.Fatal(got.err)
	}
	golden(t, "replay.txt", strings.ReplaceAll(got.out, filepath.Dir(path), "/var/lib/parley"))
	if strings.Contains(got.out, private) || strings.Contains(got.out, "not a real key") {
		t.Error("a secret shows")
	}
	js := none.run(context.Background(), &app{}, "replay", path, "-o", "json")
	lines := strings.Split(strings.TrimSpace(js.out), "\n")
	var last replayStep
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 3 || last.Number != 3 || last.State != "closed" {
		t.Errorf("got %v, %v of\n%s", last, err, js.out)
	}
}

func TestReplayWaitsForAKeyOnATerminalOnly(t *testing.T) {
	t.Parallel()
	path := record(t)
	var none *world
	all := none.run(context.Background(), &app{}, "replay", "--step", path)
	if n := strings.Count(all.out, "\n#"); n != 3 || strings.Contains(all.out, "enter: next") {
		t.Errorf("without a terminal: %d steps\n%s", n, all.out)
	}
	two := none.run(context.Background(), &app{interactive: true, in: strings.NewReader("\nq\n")}, "replay", "--step", path)
	if n := strings.Count(two.out, "\n#"); n != 2 {
		t.Errorf("on a terminal, with enter and q: %d steps\n%s", n, two.out)
	}
}

func TestReplayTellsWhatIsWrongWithAFile(t *testing.T) {
	t.Parallel()
	path := record(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var none *world
	for _, tt := range []struct{ file, want string }{
		{filepath.Join(dir, "none"), "no such file"},
		{write("text", []byte("hello")), "this is not a journal"},
		{write("torn", b[:len(b)-3]), "ends in the middle of a record"},
	} {
		got := none.run(context.Background(), &app{}, "replay", tt.file)
		if got.status != exitFailed || !strings.Contains(got.err, tt.want) {
			t.Errorf("%s: %d, %s", tt.file, got.status, got.err)
		}
	}
}
