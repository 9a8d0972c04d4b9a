package protocol

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
)

const (
	casesAtOnce   = 16 // they mostly wait
	daemonsAtOnce = 3  // each with its processes
)

// Run runs cases against daemons of one kind, one daemon for all cases with the same settings, each in a pair of network
// namespaces, and returns the results in the order of the cases. The error is about the machine or the daemons, not about
// what they say.
func Run(ctx context.Context, a Adapter, all []Case) ([]Result, error) {
	results := make([]Result, len(all))
	groups := map[Settings][]int{}
	for i, c := range all {
		groups[c.Settings] = append(groups[c.Settings], i)
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(groups))
	daemons, cases := make(chan struct{}, daemonsAtOnce), make(chan struct{}, casesAtOnce)
	for settings, members := range groups {
		wg.Go(func() {
			daemons <- struct{}{}
			defer func() { <-daemons }()
			g := group{adapter: a, settings: settings, cases: all, results: results, members: members, slots: cases}
			errs <- g.run(ctx)
		})
	}
	wg.Wait()
	close(errs)
	var joined error
	for err := range errs {
		joined = errors.Join(joined, err)
	}
	return results, joined
}

// group is the cases that share a daemon.
type group struct {
	adapter  Adapter
	settings Settings
	cases    []Case
	results  []Result
	members  []int // indexes of cases and results
	slots    chan struct{}

	near, far *lab.Namespace
	farIP     netip.Addr
}

func (g *group) run(ctx context.Context) (err error) {
	g.skip(errors.New("the daemon did not start")) // until it has
	dir, err := os.MkdirTemp("", "parley-")        // short enough for unix sockets
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := g.wire(); err != nil {
		return err
	}
	defer g.near.Close()
	defer g.far.Close()
	all, err := g.connections()
	if err != nil {
		return err
	}
	d, err := g.adapter.Start(ctx, Place{NS: g.far, Addr: g.farIP, Dir: filepath.Join(dir, "d")}, g.settings, all)
	if errors.Is(err, ErrCannot) {
		g.skip(err)
		return nil
	}
	if err != nil {
		return err
	}
	g.runAll(d, all)
	g.tellFaults(d)
	return d.Stop()
}

// wire joins two namespaces by a link on which the daemon has the first address.
func (g *group) wire() (err error) {
	if g.near, err = lab.NewNamespace("peer"); err != nil {
		return err
	}
	if g.far, err = lab.NewNamespace("daemon"); err != nil {
		return err
	}
	g.farIP = g.address(1)
	return errors.Join(lab.Join(g.near, g.far, "wan"), g.far.Addr("wan", g.onLink(g.farIP)), g.far.Addr("lan", "10.1.0.1/16"),
		g.far.Addr("lan2", "10.2.0.1/16"))
}

// address returns the nth address of the link.
func (g *group) address(n int) netip.Addr {
	if g.settings.IPv6 {
		return netip.MustParseAddr("2001:db8::" + strconv.FormatInt(int64(n), 16))
	}
	return netip.AddrFrom4([4]byte{10, 99, byte(n / 250), byte(1 + n%250)})
}

func (g *group) onLink(a netip.Addr) string {
	if a.Is4() {
		return a.String() + "/16"
	}
	return a.String() + "/64"
}

// connections gives every case an address and a connection.
func (g *group) connections() (all []Connection, err error) {
	for n, i := range g.members {
		c := Connection{Name: fmt.Sprintf("c%d", n), Peer: g.address(n + 2), PeerID: FQDN(fmt.Sprintf("c%d.example.net", n)),
			PeerTS: fmt.Sprintf("10.200.%d.0/24", n), Key: fmt.Sprintf("a key for case %d of a test", n)}
		if tune := g.cases[i].Tune; tune != nil {
			tune(&c)
		}
		err = errors.Join(err, g.near.Addr("wan", g.onLink(c.Peer)))
		all = append(all, c)
	}
	return all, err
}

func (g *group) skip(why error) {
	for _, i := range g.members {
		g.results[i] = Result{Case: &g.cases[i], Skipped: why.Error()}
	}
}

func (g *group) runAll(d Daemon, all []Connection) {
	var wg sync.WaitGroup
	for n, i := range g.members {
		wg.Go(func() {
			g.slots <- struct{}{}
			defer func() { <-g.slots }()
			t := &T{Connection: all[n], daemon: d, settings: g.settings, far: g.farIP, ns: g.near, farNS: g.far,
				ports: map[netip.AddrPort]*peer.Port{}, inbox: make(chan peer.Datagram, inboxLen)}
			g.results[i] = t.run(&g.cases[i])
		})
	}
	wg.Wait()
}

// tellFaults adds what the daemon wrote to the traces of the cases that it failed.
func (g *group) tellFaults(d Daemon) {
	for _, i := range g.members {
		if r := &g.results[i]; len(r.Faults) > 0 && r.Defect == "" {
			r.Trace = append(r.Trace, d.Log())
		}
	}
}
