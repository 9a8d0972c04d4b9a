// Command accelerator is a vendor's plugin for a card: an SA backend whose ESP is done by the card (backend.go, card.go), and a key
// exchange whose operations are done by it in batches (batch.go, exchange.go). The card is simulated, with a table of its own, limits,
// latency and faults, so that the plugin can be run and tested anywhere; a vendor replaces card.go and engine by a driver.
//
//	plugin "acme" { kind = ["sa", "ke"]  path = "/usr/lib/acme/accelerator"  sha256 = "..." }
package main

import (
	"time"

	"github.com/parley-ike/parley/sdk/serve"
)

// What the simulated card is like.
const (
	places  = 4096 // SAs in its table, two for each child
	latency = 50 * time.Microsecond
)

func main() {
	info := serve.Info{Name: "example-accelerator", Version: "1.0.0", Vendor: "Example"}
	serve.Main(info, serve.SA("accelerator", newBackend(newCard(places, latency))), serve.KE("accelerator", newExchange()))
}
