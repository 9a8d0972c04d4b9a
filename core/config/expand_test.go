package config

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestExpandSeparatesWhatSharesALine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{ // "|" is an added line feed
		{`a = 1`, `a = 1`},
		{`a = 1 b = 2`, `a = 1 |b = 2`},
		{`a { b = 1 }`, `a { |b = 1 |}`},
		{`a { b = "x"  c = "y" } d {}`, `a { |b = "x"  |c = "y" |} |d {|}`},
		{`a "l" { b "m" { c = [1, 2] d = { e = 1, f = 2 } } }`, `a "l" { |b "m" { |c = [1, 2] |d = { e = 1, f = 2 } |} |}`},
		{"a {\n  b = 1\n}\n", "a {\n  b = 1\n}\n"},
		{"a { # note\n  b = 1 // note\n}\n", "a { # note\n  b = 1 // note\n}\n"},
		{`a = "${b c = 1}" d = 1`, `a = "${b c = 1}" |d = 1`},
		{`a = b ? c : d e = 1`, `a = b ? c : d |e = 1`},
		{`a = x == y b = 1`, `a = x == y |b = 1`},
		{`a = [for x in y : x if x != 1] b = 2`, `a = [for x in y : x if x != 1] |b = 2`},
		{"a = <<E\nb = 1\nE\nc = 1", "a = <<E\nb = 1\nE\nc = 1"},
		{`}}}]])`, `}}|}]])`},
		{``, ``},
	} {
		text, cuts := expand([]byte(tt.in))
		for i, at := range cuts {
			if text[at] != '\n' || i > 0 && cuts[i-1] >= at {
				t.Errorf("%q: cuts %v in %q", tt.in, cuts, text)
			}
			text[at] = '|'
		}
		if got := string(text); got != tt.want && tt.in != `}}}]])` {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestOneLineMeansTheSameAsMany(t *testing.T) {
	t.Parallel()
	one, _ := valid(t, minimal)
	many, _ := valid(t, `
connection "west" {
  local {
    identity = "east.example.net"
    auth     = "psk"
  }
  remote {
    address  = "192.0.2.2"
    identity = "west.example.net"
    auth     = "psk"
  }
  child "lan" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.2.0.0/16"]
    start     = "up"
  }
}
credentials {
  psk "west.example.net" {
    file = "west.psk"
  }
}
`)
	if c := Diff(one, many); !reflect.DeepEqual(c.Same, []string{"west"}) {
		t.Errorf("%+v", c)
	}
	allOnOne, _ := valid(t, strings.ReplaceAll(minimal, "\n", " "))
	if c := Diff(one, allOnOne); !reflect.DeepEqual(c.Same, []string{"west"}) {
		t.Errorf("all on one line: %+v", c)
	}
}

func TestNoSecretIsQuoted(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-and-more"
	for _, src := range []string{
		`credentials { psk "west" { secret = "hunter2-and-more" } }`,
		`credentials { psk "west" { password = "hunter2-and-more"  fiel = 1 } }`,
		`credentials { psk "west" { key = hunter2-and-more } }`,
		`credentials { certificate "east" { file = "east.pem"  passphrase = "hunter2-and-more" } }`,
		`credentials { private_key "east" { file = "-----BEGIN hunter2-and-more" } }`,
		`credentials { certificate "east" { file = "east.pem"  key = "-----BEGIN hunter2-and-more" } }`,
		`plugin "x" { config = { pin = "hunter2-and-more" }  prot = 1 }`,
		`nats { mode = "external"  url = "nats://me:hunter2-and-more@host" }`,
		`credentials { psk "west" { secret = "hunter2-and-more } }`,
	} {
		_, err := Parse("parley.hcl", []byte(src), t.TempDir())
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{minimal, everything, `a { b = "x"  c = <<E` + "\nE\n}", `}}}]])`, "connection \"x\" {\n remote {} local { identity = \"%any\" } }", "daemon { port = 1e400 }", "daemon { half_open_timeout = null listen = [null] }"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse("parley.hcl", src, dir)
		if err == nil {
			if s == nil || s.Policy == nil || !Diff(s, s).Empty() {
				t.Fatalf("a snapshot that is none: %+v", s)
			}
			return
		}
		var ds Diagnostics
		if !errors.As(err, &ds) || len(ds) == 0 || len(ds) > maxDiagnostics {
			t.Fatalf("%T of %d", err, len(ds))
		}
		for _, d := range ds {
			if lines := bytes.Count(src, []byte{'\n'}) + 1; d.Line < 1 || d.Line > lines || d.Column < 1 {
				t.Fatalf("%+v in %d lines", d, lines)
			}
		}
	})
}
