package daemon_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-ike/parley/"

// pure packages hold the protocol: time, randomness and replies arrive as inputs.
var pure = []string{"core/wire", "core/wire/wire1", "core/wire/wire2", "core/suite", "core/policy", "core/machine", "core/ikev1", "core/ikev2"}

// impure is what pure packages must do without.
var impure = []string{"net", "os", "sync", "sync/atomic", "context", "log", "log/slog", "crypto/rand", "os/signal", "syscall", "go.uber.org/zap"}

// leaves may be imported by everyone.
var leaves = []string{"sdk/secret"}

// allowed lists who may import whom, of ours; what is not listed is forbidden. Patterns are of path.Match, with a
// trailing /... for a folder and all below. A package may always import those below itself.
var allowed = []struct {
	who  []string
	whom []string
}{
	{[]string{"core/wire", "bus/event", "core/transport", "sdk/secret"}, nil},
	{[]string{"bus"}, []string{"bus/event"}},
	{[]string{"bus/mirror", "bus/bustest"}, []string{"bus", "bus/event"}},
	{[]string{"core/wire/wire1", "core/wire/wire2"}, []string{"core/wire"}},
	{[]string{"core/suite"}, []string{"core/wire/..."}},
	{[]string{"core/policy"}, []string{"core/wire/...", "core/suite"}},
	{[]string{"core/machine"}, []string{"bus/event"}},
	{[]string{"core/ikev1", "core/ikev2"}, []string{"core/machine", "core/wire/...", "core/suite", "core/policy", "bus/event"}},
	{[]string{"core/pool"}, []string{"core/machine", "core/policy", "bus/event"}},
	{[]string{"core/journal"}, []string{"core/machine", "core/policy", "core/suite", "core/wire/...", "bus/event"}},
	{[]string{"core/engine"}, []string{"core/machine", "core/ikev1", "core/ikev2", "core/wire/...", "core/policy", "core/journal", "bus", "bus/event"}},
	{[]string{"core/pluginhost"}, []string{"core/machine", "bus", "bus/event", "sdk/proto/..."}},
	{[]string{"core/config"}, []string{"core/policy", "core/suite"}},
	{[]string{"core/control"}, []string{"core/engine", "core/machine", "core/config", "bus", "bus/event", "sdk/proto/..."}},
	{[]string{"core/daemon"}, []string{"core/...", "bus/...", "sdk/proto/..."}},
	{[]string{"plugins/sa/..."}, []string{"plugins/sa/internal/..."}},
	{[]string{"plugins/cred/..."}, []string{"plugins/cred/internal/..."}},
	{[]string{"plugins/...", "examples/...", "conformance/kit/..."}, []string{"sdk/...", "conformance/kit/..."}},
	{[]string{"sdk/..."}, []string{"sdk/..."}},
	{[]string{"cmd/...", "conformance/..."}, []string{"..."}}, // nobody imports these
}

// testsOnly are imports that test files may add: fakes, kits and tools.
var testsOnly = []string{"sdk/...", "bus/bustest", "conformance/kit/..."}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImportsFollowTheDesign(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		who := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			checkImport(t, who, imported, nil)
			if slices.Contains(pure, who) && slices.Contains(impure, imported) {
				t.Errorf("%s imports %s, but the protocol packages are pure", who, imported)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			checkImport(t, who, imported, testsOnly)
		}
	}
}

func checkImport(t *testing.T, who, imported string, also []string) {
	t.Helper()
	whom, ours := strings.CutPrefix(imported, module)
	if !ours || whom == who || strings.HasPrefix(whom, who+"/") || slices.Contains(leaves, whom) || matchAny(also, whom) {
		return
	}
	listed := false
	for _, row := range allowed {
		if !matchAny(row.who, who) {
			continue
		}
		listed = true
		if matchAny(row.whom, whom) {
			return
		}
	}
	if !listed {
		t.Errorf("%s is not in the table of allowed imports", who)
		return
	}
	t.Errorf("%s must not import %s", who, whom)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "..." {
			return true
		}
		if folder, below := strings.CutSuffix(p, "/..."); below {
			return name == folder || strings.HasPrefix(name, folder+"/")
		}
		ok, _ := path.Match(p, name)
		return ok
	})
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
