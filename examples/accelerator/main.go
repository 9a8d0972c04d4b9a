// Command accelerator is a vendor's plugin for a card: an SA backend whose ESP is done by the card (backend.go, card.go), and a key
// exchange (exchange.go) and a credential store (sign.go) whose asymmetric operations are done by it in batches (batch.go): many calls
// are in flight, and are answered in the order in which the card is done. The card is simulated, with a table of its own, limits,
// latency and faults, so that the plugin can be run and tested anywhere; a vendor replaces card.go and engine.card by a driver.
//
//	plugin "acme" { kind = ["sa", "ke"]  path = "/usr/lib/acme/accelerator"  args = ["sa", "ke"]  sha256 = "..." }
//	plugin "acme-keys" {
//	  kind   = ["cred"]
//	  path   = "/usr/lib/acme/accelerator"
//	  args   = ["cred"]
//	  sha256 = "..."
//	  config = { local = "east.example.net"  certificate = "/etc/acme/east.pem"  key = "/etc/acme/east.key" }
//	}
//
// Whoever names a plugin of kind cred names all stores, in the order in which they are asked: parley-plugin's cred:file, too.
package main

import (
	"os"
	"time"

	"github.com/parley-ike/parley/sdk/serve"
)

// What the simulated card is like.
const (
	places  = 4096 // SAs in its table, two for each child
	latency = 50 * time.Microsecond
)

func main() {
	asymmetric := newEngine(nil) // one unit for both
	items := map[string]serve.Item{
		"sa":   serve.SA("accelerator", newBackend(newCard(places, latency))),
		"ke":   serve.KE("accelerator", &exchange{asymmetric}),
		"cred": serve.Cred("accelerator", newSigner(asymmetric)),
	}
	all := []serve.Item{serve.Info{Name: "example-accelerator", Version: "1.0.0", Vendor: "Example"}}
	for _, kind := range wanted(os.Args[1:]) {
		if item, ok := items[kind]; ok {
			all = append(all, item)
		}
	}
	serve.Main(all...)
}

// wanted are the kinds to serve: those of the arguments, or all.
func wanted(arguments []string) []string {
	if len(arguments) == 0 {
		return []string{"sa", "ke", "cred"}
	}
	return arguments
}
