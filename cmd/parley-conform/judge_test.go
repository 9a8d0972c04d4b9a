package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/proto/link"
)

// TestMain lets the test binary stand for a plugin when a host starts it.
func TestMain(m *testing.M) {
	if os.Getenv(link.CookieKey) == link.CookieValue {
		serveBad(os.Args[1])
	}
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// asProgram lets the test binary stand for parley-conform itself.
const asProgram = "PARLEY_CONFORM_TEST"

// conform runs a command line and returns what it printed and its exit status.
func conform(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		out.WriteString(err.Error())
	}
	return out.String(), exitStatus(err)
}

// built returns a program of this module.
func built(t *testing.T, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/parley-ike/parley/"+pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// judged returns the findings of one service by check.
func judged(t *testing.T, text string) (sheet, map[string]finding) {
	t.Helper()
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil || len(r.Services) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	found := map[string]finding{}
	for _, f := range r.Services[0].Checks {
		found[f.Check] = f
	}
	return *r.Services[0], found
}

func TestPluginsThatAreShippedConform(t *testing.T) {
	t.Parallel()
	first := built(t, "cmd/parley-plugin")
	accelerator := built(t, "examples/accelerator")
	dir := t.TempDir()
	key, config := filepath.Join(dir, "west.psk"), filepath.Join(dir, "cred.json")
	for path, text := range map[string]string{key: "a long enough secret\n", config: `{"psks":[{"remote":{"type":2,"data":"d2VzdA=="},"file":"` + key + `"}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{
		"sa:memory":               {"sa", "--plugin", first, "--", "sa:memory"},
		"ke:curve":                {"ke", "--plugin", first, "--", "ke:curve"},
		"auth:psk":                {"auth", "--plugin", first, "--", "auth:psk"},
		"cred:file":               {"cred", "--plugin", first, "--config", config, "--peer", "west", "--key", key, "--", "cred:file"},
		"sa:accelerator":          {"sa", "--plugin", accelerator, "--kinds", "sa,ke", "--", "sa", "ke"},
		"ke:accelerator":          {"ke", "--plugin", accelerator, "--kinds", "sa,ke", "--", "sa", "ke"},
		"sa:bad without a defect": {"sa", "--plugin", os.Args[0], "--", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, status := conform(t, args...)
			if status != 0 || !strings.Contains(text, " 0 failed") || strings.Contains(text, "secret\n") {
				t.Errorf("status %d:\n%s", status, text)
			}
		})
	}
}

// TestUserspaceConformsAsAProcess needs a network namespace in which it may make a TUN device.
func TestUserspaceConformsAsAProcess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, not proven here: needs root for a TUN device")
	}
	first := built(t, "cmd/parley-plugin")
	cmd := exec.Command("unshare", "--net", os.Args[0], "sa", "--plugin", first, "--privileges", "net_admin,net_raw", "-o", "json", "--", "sa:userspace")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.Output()
	s, found := judged(t, string(out))
	if err != nil || s.Failed != 0 {
		t.Errorf("%v: %+v", err, found)
	}
	if f := found["a killed process keeps its children or tells that it lost them"]; f.Verdict != kit.Passed {
		t.Errorf("not killed: %+v", f)
	}
	if f := found["transport mode can be installed"]; f.Verdict != kit.Skipped || !strings.Contains(f.Detail, "transport") {
		t.Errorf("transport mode: %+v", f)
	}
}

func TestEachDefectOfABackendIsFound(t *testing.T) {
	t.Parallel()
	for defect, want := range map[string]struct{ check, detail string }{
		"not idempotent":            {"the same child again changes nothing", "file exists"},
		"key forgotten":             {"a child lives: installed, listed, used, removed", "listed as SPIs"},
		"owner ignored":             {"owners do not meet", "listed 0 times"},
		"answers before it is done": {"a child lives: installed, listed, used, removed", "not installed"},
		"epoch forgotten":           {"a killed process keeps its children or tells that it lost them", "the epoch is still 1"},
		"claims too much":           {"every setting of the probe can be installed", "setting mark"},
		"dies":                      {"owners do not meet", "the process ended with exit status 7"},
	} {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			text, status := conform(t, "sa", "--plugin", os.Args[0], "-o", "json", "--", defect)
			s, found := judged(t, strings.TrimSuffix(text, failedError{}.Error()))
			if f := found[want.check]; status != exitFailed || f.Verdict != kit.Failed || !strings.Contains(f.Detail, want.detail) {
				t.Errorf("status %d, %q: %+v", status, want.check, f)
			}
			if s.Passed == 0 || s.Failed+s.Passed+s.Skipped != len(found) {
				t.Errorf("not every check stands for itself: %+v", s)
			}
		})
	}
}

func TestWhatCannotBeJudgedIsTold(t *testing.T) {
	t.Parallel()
	notes := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(notes, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"sa"}, exitUsage, "--plugin FILE is missing"},
		{[]string{"sa", "--plugin", os.Args[0], "-o", "yaml"}, exitUsage, `unknown output "yaml"`},
		{[]string{"sa", "--plugin", os.Args[0], "--timeout", "-1s"}, exitUsage, "not positive"},
		{[]string{"sa", "--frobnicate"}, exitUsage, "unknown flag"},
		{[]string{"cred", "--plugin", os.Args[0]}, exitUsage, "--peer FQDN is missing"},
		{[]string{"sa", "--plugin", notes}, exitStart, "cannot be executed"},
		{[]string{"sa", "--plugin", "/nowhere/plugin"}, exitStart, "/nowhere/plugin"},
		{[]string{"sa", "--plugin", os.Args[0], "--config", "/nowhere/config", "--", "none"}, exitStart, "/nowhere/config"},
		{[]string{"ke", "--plugin", os.Args[0], "--", "none"}, exitStart, `provides kind "sa"`},
		{[]string{"sa", "--plugin", os.Args[0], "--service", "acme", "--", "none"}, exitStart, "describe"},
	} {
		if text, status := conform(t, c.args...); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, status, text, c.status, c.want)
		}
	}
}

func TestHelpAndManualTellTheExitStatuses(t *testing.T) {
	t.Parallel()
	help, status := conform(t, "sa", "--help")
	if status != 0 || !strings.Contains(help, "Exit status") || !strings.Contains(help, "--privileges") {
		t.Errorf("%d %s", status, help)
	}
	dir := t.TempDir()
	if text, status := conform(t, "man", dir); status != 0 {
		t.Fatal(text)
	}
	page, err := os.ReadFile(filepath.Join(dir, "parley-conform-sa.1"))
	if err != nil || !bytes.Contains(page, []byte(".SH EXIT STATUS")) || !bytes.Contains(page, []byte(`\-\-plugin`)) {
		t.Errorf("%v\n%s", err, page)
	}
	if text, _ := conform(t, "__complete", "sa", "--output", ""); !strings.Contains(text, "json") {
		t.Errorf("completion of --output: %s", text)
	}
}
