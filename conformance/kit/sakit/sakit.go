package sakit

import (
	"context"
	"net/netip"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/sa"
)

// Fixture is what the suite works with.
type Fixture struct {
	Plugin sa.Plugin // when Process is nil
	// Process is a backend that runs as a process, which the suite may kill.
	Process Process
	// Local and Remote are outer addresses that the backend can use here; zero: 192.0.2.1 and 192.0.2.2.
	Local, Remote netip.Addr
	// EncapPort is the local UDP port of a socket for encapsulated ESP that the backend has; 0: 4500.
	EncapPort uint16
	// Many is how many children the suite installs at once; 0: 64.
	Many int
}

// Process is a backend that runs as a process of its own.
type Process interface {
	// Plugin is a client of the process that runs now.
	Plugin() sa.Plugin
	// Restart kills the process with SIGKILL and starts it again as it was started before.
	Restart(ctx context.Context) error
}

// Pipeliner is a client that can make a call before the last one about the same child was answered, as the core does.
type Pipeliner interface {
	// InstallThenRemove makes both calls at once and returns when both were answered.
	InstallThenRemove(ctx context.Context, c sa.Child) (installed, removed error)
}

// plugin is the backend as it is now.
func (f Fixture) plugin() sa.Plugin {
	if f.Process != nil {
		return f.Process.Plugin()
	}
	return f.Plugin
}

// Run runs every check of the SA backend contract.
func Run(t *testing.T, f Fixture) {
	t.Helper()
	kit.Run(t, Checks(), f)
}

// Checks returns the checks of the SA backend contract.
func Checks() []kit.Check[Fixture] {
	return []kit.Check[Fixture]{
		{Name: "the probe tells what can be done and changes nothing", Rule: "sdk/sa Capabilities", Run: probe},
		{Name: "SPIs are distinct and none is reserved", Rule: "RFC 4303 section 2.1", Run: allocates},
		{Name: "a child lives: installed, listed, used, removed", Rule: "sdk/sa Plugin", Run: lives},
		{Name: "every algorithm of the probe can be installed", Rule: "sdk/sa Capabilities", Run: everyAlgorithm},
		{Name: "the same child again changes nothing", Rule: "sdk/sa Plugin", Run: idempotent},
		{Name: "an SPI that a child has is not given to another child", Rule: "RFC 4301 section 4.1", Run: keyed},
		{Name: "removing what is not there is a success", Rule: "sdk/sa Plugin", Run: removeTwice},
		{Name: "owners do not meet", Rule: "sdk/sa Plugin", Run: owners},
		{Name: "a new child for the same selectors stays when the old one goes", Rule: "RFC 7296 section 2.8", Run: rekey},
		{Name: "a child that is held back sends after its update", Rule: "RFC 7296 section 2.8", Run: held},
		{Name: "an update moves a child", Rule: "RFC 4555 section 3.5", Run: moves},
		{Name: "an update of what is not there installs it", Rule: "sdk/sa Plugin", Run: updateLost},
		{Name: "an SPI is given back, but not that of a child", Rule: "sdk/sa Plugin", Run: frees},
		{Name: "what cannot be done is unsupported and leaves nothing", Rule: "sdk ErrUnsupported", Run: unsupported},
		{Name: "arguments and results belong to the caller", Rule: "sdk/sa Plugin", Run: owned},
		{Name: "many children at the same time", Rule: "sdk/sa Plugin", Run: manyAtOnce},
		{Name: "a call whose context ended is not performed", Rule: "sdk/sa Plugin", Run: obeysContext},
		{Name: "limits of traffic are taken, and changed by an update", Rule: "RFC 4301 section 4.4.2.1", Run: limits},
		{Name: "transport mode can be installed", Rule: "sdk/sa Capabilities.Modes", Run: transport},
		{Name: "extended sequence numbers can be installed", Rule: "sdk/sa Capabilities.ESN; RFC 4303 section 2.2.1", Run: esn},
		{Name: "the widest replay window can be installed", Rule: "sdk/sa Capabilities.MaxReplayWindow", Run: widestWindow},
		{Name: "ESP in UDP can be installed", Rule: "sdk/sa Capabilities.Encap; RFC 3948", Run: encap},
		{Name: "padding of inner packets can be installed", Rule: "sdk/sa Capabilities.TFC; RFC 4303 section 2.7", Run: tfc},
		{Name: "every setting of the probe can be installed", Rule: "sdk/sa Capabilities.Settings", Run: everySetting},
		{Name: "traps are set as a whole, beneath children", Rule: "sdk/sa Trapper", Run: traps},
		{Name: "traffic can be let pass or be dropped", Rule: "sdk/sa Trap.Action; RFC 4301 section 4.4.1", Run: actions},
		{Name: "calls about one child keep their order", Rule: "sdk/sa Plugin", Run: keepsOrder},
		{Name: "a killed process keeps its children or tells that it lost them", Rule: "sdk/sa Capabilities.Epoch", Run: survives},
	}
}
