package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	authpsk "github.com/parley-ike/parley/plugins/auth/psk"
	"github.com/parley-ike/parley/plugins/auth/signature"
	"github.com/parley-ike/parley/plugins/cred/file"
	"github.com/parley-ike/parley/plugins/ke/curve"
	"github.com/parley-ike/parley/plugins/ke/ecp"
	"github.com/parley-ike/parley/plugins/ke/modp"
	"github.com/parley-ike/parley/plugins/sa/memory"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/serve"
)

// processes are the plugin processes of a gateway as parleyd has them, with the kind of each; who signs needs another authenticator.
func (s Setup) processes() map[string]string {
	all := map[string]string{"ke": "ke", "auth": "auth", "cred": "cred", "sa": "sa"}
	if s.Keys != "" {
		delete(all, "auth")
		all["signature"] = "auth"
	}
	return all
}

// servePlugin is a plugin process.
func servePlugin(kind string) {
	if path := os.Getenv(envProfile); path != "" {
		if err := profileFor(path, pluginProfile); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	switch kind {
	case "ke":
		serve.Main(serve.KE("curve", curve.New()), serve.KE("ecp", ecp.New()), serve.KE("modp", modp.New()))
	case "auth":
		serve.Main(serve.Auth("psk", authpsk.New()))
	case "signature":
		serve.Main(serve.Auth("signature", signature.New()))
	case "cred":
		store, err := file.New(file.Config{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		serve.Main(serve.Cred("file", store))
	case "sa":
		serve.Main(serve.SA("memory", memory.New(memory.Config{})))
	}
}

// pluginProfile is how long a plugin is profiled, from its start: it does not learn of the end of a measurement.
const pluginProfile = 12 * time.Second

// profileFor writes a CPU profile of our process.
func profileFor(path string, d time.Duration) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	time.AfterFunc(d, func() { pprof.StopCPUProfile(); _ = f.Close() })
	return pprof.StartCPUProfile(f)
}

// linkPlugins makes the same plugins for the gateway's own process.
func (s Setup) linkPlugins() (*linked.Plugins, error) {
	store, err := file.New(s.credentials())
	if err != nil {
		return nil, err
	}
	return linked.New([]ke.Plugin{curve.New(), ecp.New(), modp.New()}, []auth.Plugin{authpsk.New(), signature.New()}, store, memory.New(memory.Config{})), nil
}

// credentials is the one pre-shared key, good for any identities, or what signatures need.
func (s Setup) credentials() file.Config {
	if s.Keys != "" {
		return s.keyring()
	}
	return file.Config{PSKs: []file.PSK{{File: filepath.Join(s.Dir, pskFile)}}}
}

// hostPlugins starts the plugin processes.
func (s Setup) hostPlugins(ctx context.Context, b *bus.Bus, deliver func([]machine.Return)) (*pluginhost.Host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stored, err := json.Marshal(s.credentials())
	if err != nil {
		return nil, err
	}
	var entries []pluginhost.Entry
	for name, kind := range s.processes() {
		e := pluginhost.Entry{Name: name, Path: self, Kinds: []string{kind}, Env: map[string]string{envPlugin: name}}
		if s.Profile != "" {
			e.Env[envProfile] = filepath.Join(s.Profile, filepath.Base(s.Dir)+"-"+name+".pprof")
		}
		if kind == "cred" {
			e.Services = []pluginhost.ServiceConfig{{Kind: kind, Name: "file", JSON: stored}}
		}
		entries = append(entries, e)
	}
	h, err := pluginhost.New(pluginhost.Config{
		Entries: entries, Owner: linked.Owner, Node: "bench", RuntimeDir: s.Dir, DefaultBackend: "memory", Bus: b, Sink: deliver,
	})
	if err != nil {
		return nil, err
	}
	return h, h.Start(ctx)
}
