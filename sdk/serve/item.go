package serve

import (
	"context"
	"os"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	"github.com/parley-ike/parley/sdk/sa"
)

// Item is what a plugin process is made of: Info and services.
type Item interface{ addTo(*Server) error }

// Info tells people what the process is. Without it the name is that of the first service.
type Info struct{ Name, Version, Vendor string }

// KE is a service that performs key exchanges. The name tells it from others of its kind in one daemon: "curve".
func KE(name string, p ke.Plugin) Item {
	return &service{kind: "ke", name: name, impl: p, handle: keHandler(p), describe: func(d *basev1.Provided) { describeKE(d, p) }}
}

// Auth is a service that authenticates peers.
func Auth(name string, p auth.Plugin) Item {
	v := &service{kind: "auth", name: name, impl: p, handle: authHandler(p), describe: func(d *basev1.Provided) {
		d.Auths, d.Capabilities = p.Methods(), p.Methods()
	}}
	if q, ok := p.(auth.Questioner); ok {
		v.ask = newAsker(q)
	}
	return v
}

// Cred is a credential store.
func Cred(name string, p cred.Plugin) Item {
	return &service{kind: "cred", name: name, impl: p, handle: credHandler(p), describe: func(*basev1.Provided) {}}
}

// SA is an SA backend; the name is what configurations call it: "userspace".
func SA(name string, p sa.Plugin) Item {
	return &service{kind: "sa", name: name, impl: p, handle: saHandler(p), describe: func(*basev1.Provided) {}}
}

// Configurer is implemented by services that take a configuration or need their environment.
type Configurer interface {
	// Schema returns the JSON Schema of the configuration, "" for none.
	Schema() string
	// Validate returns what is wrong with a configuration, in sentences that say how to mend it; it changes nothing.
	Validate(config []byte) []string
	// Configure applies a configuration, "{}" when the daemon has none. It comes before every call and may come again
	// while calls run.
	Configure(ctx context.Context, env Env, config []byte) error
}

// Env is what the daemon tells a service about the place it runs in.
type Env struct {
	Owner      string // of this daemon: SA backends mark with it what is ours
	RuntimeDir string // a folder of the plugin's own, mode 0700, that outlives the process but not the machine
	Node       string
	Files      map[string]*os.File // descriptors that the daemon passed, by name; they belong to the process
}

// Drainer is implemented by services that have something to do before the process ends: no call follows. With remove,
// nothing that the service installed outside the process is to stay.
type Drainer interface {
	Drain(ctx context.Context, remove bool)
}
