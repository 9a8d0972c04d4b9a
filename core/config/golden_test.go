package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files; review the difference as code")

// goldenFiles hold the cases, those of a subject in a file of its own.
const goldenFiles = "testdata/errors*.txt"

// TestErrorsTeachHowToMendThem runs the cases of testdata/errors*.txt: a name after "== ", a source, and after "----" the
// error, in which DIR stands for the folder. The folder holds good.psk (0600), open.psk (0644), empty.psk and plain (0644).
func TestErrorsTeachHowToMendThem(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]os.FileMode{"good.psk": 0o600, "west.psk": 0o600, "open.psk": 0o644, "plain": 0o644})
	if err := os.WriteFile(dir+"/empty.psk", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(goldenFiles)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", goldenFiles, err)
	}
	for _, f := range files {
		checkErrors(t, f, dir)
	}
}

func checkErrors(t *testing.T, file, dir string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "== ")
	out := head
	for c := range strings.SplitSeq(rest, "\n== ") {
		name, body, _ := strings.Cut(strings.TrimRight(c, "\n"), "\n")
		src, want, _ := strings.Cut(body, "\n----")
		want = strings.TrimPrefix(want, "\n")
		got := strings.ReplaceAll(failure(t, name, src, dir), dir, "DIR")
		if got != want && !*update {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		out += "== " + name + "\n" + src + "\n----\n" + got + "\n\n"
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func failure(t *testing.T, name, src, dir string) string {
	t.Helper()
	_, err := Parse("parley.hcl", []byte(src), dir)
	var ds Diagnostics
	switch {
	case err == nil:
		t.Errorf("%s: no error", name)
		return ""
	case !errors.As(err, &ds):
		t.Errorf("%s: %T, want Diagnostics", name, err)
	}
	for _, d := range ds {
		if d.File != "parley.hcl" || d.Line == 0 || d.Column == 0 {
			t.Errorf("%s: %+v does not say where", name, d)
		}
		if !strings.Contains(d.Message, ": ") {
			t.Errorf("%s: %q has no remedy", name, d.Message)
		}
	}
	return err.Error()
}
