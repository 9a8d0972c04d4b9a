package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/parley-ike/parley/plugins/auth/psk"
	"github.com/parley-ike/parley/plugins/auth/rsaenc"
	"github.com/parley-ike/parley/plugins/auth/signature"
	"github.com/parley-ike/parley/plugins/cred/file"
	"github.com/parley-ike/parley/plugins/ke/curve"
	"github.com/parley-ike/parley/plugins/ke/ecp"
	"github.com/parley-ike/parley/plugins/ke/modp"
	"github.com/parley-ike/parley/plugins/sa/memory"
	"github.com/parley-ike/parley/sdk/serve"
)

// Version is set by the linker.
var Version = ""

// catalogue lists every first-party plugin. A constructor runs only for what the arguments name.
var catalogue = []struct {
	name, does string
	make       func() (serve.Item, error)
}{
	{"ke:curve", "key exchange over Curve25519", func() (serve.Item, error) { return serve.KE("curve", curve.New()), nil }},
	{"ke:ecp", "key exchange over the NIST curves P-256, P-384, P-521", func() (serve.Item, error) { return serve.KE("ecp", ecp.New()), nil }},
	{"ke:modp", "key exchange in the MODP groups", func() (serve.Item, error) { return serve.KE("modp", modp.New()), nil }},
	{"auth:psk", "authentication by pre-shared key", func() (serve.Item, error) { return serve.Auth("psk", psk.New()), nil }},
	{"auth:signature", "authentication by signatures, with certificates or public keys", func() (serve.Item, error) { return serve.Auth("signature", signature.New()), nil }},
	{"auth:rsaenc", "authentication by RSA encryption, in IKEv1", func() (serve.Item, error) { return serve.Auth("rsaenc", rsaenc.New()), nil }},
	{"cred:file", "credentials in files", newCredFile},
	{"sa:userspace", "ESP in a process of its own, with a TUN device", newUserspace},
	{"sa:xfrm", "ESP in the Linux kernel", newXFRM},
	{"sa:offload", "ESP in network devices, by the Linux kernel", newOffload},
	{"sa:pfkey", "ESP in a kernel, by PF_KEY", newPFKEY},
	{"sa:memory", "remembers SAs and carries no packets: for tests and load", func() (serve.Item, error) { return serve.SA("memory", memory.New(memory.Config{})), nil }},
}

func newCredFile() (serve.Item, error) {
	p, err := file.New(file.Config{})
	return serve.Cred("file", p), err
}

const help = `parley-plugin serves plugins to parleyd, which starts it; by hand it only tells what it has.

Usage:
  parley-plugin list               what there is
  parley-plugin describe NAME...   what plugins of these names provide
  parley-plugin NAME...            serve them: this is what parleyd calls

Names:
`

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "list" {
		list(os.Stdout)
		return
	}
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
		fmt.Print(help)
		list(os.Stdout)
		return
	}
	if len(args) > 0 && args[0] == "describe" {
		args = args[1:]
	}
	items, err := items(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "parley-plugin:", err)
		os.Exit(2)
	}
	serve.Main(append(items, serve.Info{Name: "parley-plugin", Version: version(), Vendor: "Parley"})...)
}

func list(w io.Writer) {
	for _, c := range catalogue {
		fmt.Fprintf(w, "%-14s%s\n", c.name, c.does)
	}
}

func items(names []string) ([]serve.Item, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("name what to serve, for instance ke:curve; \"parley-plugin list\" prints the names")
	}
	var out []serve.Item
	for _, name := range names {
		item, err := find(name)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

func find(name string) (serve.Item, error) {
	var known []string
	for _, c := range catalogue {
		if c.name == name {
			return c.make()
		}
		known = append(known, c.name)
	}
	return nil, fmt.Errorf("there is no %q; there are %s", name, strings.Join(known, " "))
}

// version falls back to what the Go toolchain noted.
func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
