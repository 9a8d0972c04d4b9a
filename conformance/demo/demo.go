package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// Config says where the programs are and where to print.
type Config struct {
	Bin    string // folder with parleyd, parley and parley-plugin
	Out    io.Writer
	Colour bool
}

const (
	tunnelBudget = 20 * time.Second // far more than a handshake takes on a busy machine
	pluginBudget = 20 * time.Second // until a killed plugin must be back
	pings        = 10
)

// Run performs the demonstration.
func Run(ctx context.Context, c Config) (err error) {
	if err := lab.Possible(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demonstration{printer: printer{out: c.Out, colour: c.Colour}, bin: c.Bin, dir: dir}
	defer func() { err = errors.Join(err, d.close(err)) }()
	for _, step := range []func(context.Context) error{
		d.makeNetwork, d.startGateways, d.waitForTunnel, d.sendPackets, d.showState, d.showEvents, d.killPlugin, d.takeDown,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.say("done", "everything above was checked, and everything is gone")
	return nil
}

type demonstration struct {
	printer
	bin, dir   string
	east, west *gateway
	nets       []*lab.Namespace
	captures   []*lab.Capture // of the wire, at both ends
	pinger     *lab.Pinger
}

func (d *demonstration) makeNetwork(context.Context) error {
	d.title("Two gateways, one wire")
	east, err := lab.NewNamespace("east")
	if err != nil {
		return err
	}
	d.nets = append(d.nets, east)
	west, err := lab.NewNamespace("west")
	if err != nil {
		return err
	}
	d.nets = append(d.nets, west)
	if err := lab.Join(east, west, "wan"); err != nil {
		return err
	}
	d.east = d.gateway(east, "192.0.2.1", "10.1.0.1")
	d.west = d.gateway(west, "192.0.2.2", "10.2.0.1")
	for _, g := range d.gateways() {
		if err := errors.Join(g.NS.Addr("wan", g.wan+"/24"), g.NS.Addr("lan", g.lan+"/16")); err != nil {
			return err
		}
	}
	if err := errors.Join(east.DefaultVia(d.west.wan), west.DefaultVia(d.east.wan)); err != nil {
		return err
	}
	d.print("  10.1.0.0/16 -- east 192.0.2.1 ======= veth ======= 192.0.2.2 west -- 10.2.0.0/16\n")
	return d.startCaptures()
}

func (d *demonstration) startCaptures() error {
	for _, g := range d.gateways() {
		c, err := g.NS.NewCapture("wan")
		if err != nil {
			return err
		}
		d.captures = append(d.captures, c)
	}
	return nil
}

// seen is what crossed the wire: the ESP that east saw in both directions, and what either end sent in clear.
func (d *demonstration) seen() lab.Counts {
	east, west := d.captures[0].Counts(), d.captures[1].Counts()
	east.ClearICMP += west.ClearICMP
	return east
}

func (d *demonstration) gateway(ns *lab.Namespace, wan, lan string) *gateway {
	return &gateway{Gateway: lab.Gateway{Name: ns.Name, NS: ns, Dir: filepath.Join(d.dir, ns.Name), Bin: d.bin}, wan: wan, lan: lan}
}

func (d *demonstration) startGateways(ctx context.Context) error {
	d.title("Each gateway's whole configuration")
	for _, g := range d.gateways() {
		if err := g.writeConfig(); err != nil {
			return err
		}
	}
	d.block(d.east.config())
	begin := time.Now()
	for _, g := range d.gateways() {
		if err := g.Start(ctx); err != nil {
			return err
		}
	}
	for _, g := range []*gateway{d.west, d.east} { // both are up when the slower one is
		if err := g.WaitReady(ctx); err != nil {
			return err
		}
	}
	d.say("up", "two parleyd, each with its plugin processes and its own NATS, after %v", time.Since(begin).Round(time.Millisecond))
	return nil
}

func (d *demonstration) waitForTunnel(ctx context.Context) error {
	d.title("The tunnel")
	out, err := d.east.Parley(ctx, "up", "west", "--timeout", tunnelBudget.String())
	d.block(out)
	if err != nil {
		return fmt.Errorf("demo: the tunnel did not come up: %w\n%s\n%s", err, d.east.Log(), d.west.explain(ctx))
	}
	return nil
}

// explain is what a gateway says of its last attempt, and its log.
func (g *gateway) explain(ctx context.Context) string {
	out, _ := g.Parley(ctx, "explain", "east")
	return out + g.Log()
}

func (d *demonstration) sendPackets(context.Context) (err error) {
	d.title("Packets through it")
	d.pinger, err = d.east.NS.NewPinger(netip.MustParseAddr(d.east.lan), netip.MustParseAddr(d.west.lan))
	if err != nil {
		return err
	}
	for _, c := range d.captures {
		c.Reset()
	}
	for range pings {
		if _, err := d.pinger.Ping(1000, 3*time.Second); err != nil {
			return fmt.Errorf("demo: %s to %s: %w", d.east.lan, d.west.lan, err)
		}
	}
	seen := d.settle(2 * pings)
	if seen.Protected() < 2*pings || seen.ClearICMP != 0 {
		return fmt.Errorf("demo: the wire showed %+v, want %d ESP packets and no clear ICMP", seen, 2*pings)
	}
	d.say("ok", "%d pings from %s to %s answered; on the wire: %d ESP packets (%d in UDP), %d clear ICMP",
		pings, d.east.lan, d.west.lan, seen.Protected(), seen.ESPinUDP, seen.ClearICMP)
	return nil
}

// settle waits until the capture, which runs on its own, has seen n packets.
func (d *demonstration) settle(n int) lab.Counts {
	for range 50 {
		if seen := d.seen(); seen.Protected() >= n {
			return seen
		}
		time.Sleep(10 * time.Millisecond)
	}
	return d.seen()
}

func (d *demonstration) showState(ctx context.Context) error {
	d.title("What an operator sees")
	for _, args := range [][]string{{"status"}, {"sa", "list"}, {"sa", "show", "west"}, {"plugin", "list"}} {
		out, err := d.east.Parley(ctx, args...)
		if err != nil {
			return fmt.Errorf("demo: parley %v: %w\n%s", args, err, out)
		}
		d.command("parley", args...)
		d.block(out)
	}
	d.title("The processes of east")
	tree, err := processTree(d.east.PID())
	d.block(tree)
	return err
}

func (d *demonstration) showEvents(ctx context.Context) error {
	d.title("What a NATS subscriber received from east")
	lines, err := d.east.events(ctx)
	if err != nil {
		return err
	}
	for _, line := range lines {
		d.print("  " + line + "\n")
	}
	return nil
}

func (d *demonstration) killPlugin(ctx context.Context) error {
	d.title("kill -9 of the process that carries the packets")
	before, err := d.east.Plugin(ctx, "sa")
	if err != nil {
		return err
	}
	if err := before.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	d.say("killed", "plugin %s, process %d", before.Name, before.PID)
	lost, err := d.pingUntilAnswered()
	if err != nil {
		return err
	}
	d.say("ok", "packets cross again %v after the kill; pings lost: %d", time.Since(killed).Round(time.Millisecond), lost)
	after, err := d.east.WaitPlugin(ctx, "sa", before.PID)
	if err != nil {
		return err
	}
	d.say("ok", "plugin %s is back as process %d; the tunnel is the same:", after.Name, after.PID)
	out, err := d.east.Parley(ctx, "sa", "list")
	d.block(out)
	return err
}

func (d *demonstration) pingUntilAnswered() (lost int, err error) {
	for begin := time.Now(); time.Since(begin) < pluginBudget; lost++ {
		if _, err := d.pinger.Ping(1000, 200*time.Millisecond); err == nil {
			return lost, nil
		}
	}
	return lost, fmt.Errorf("demo: no packet crossed within %v after the kill\n%s", pluginBudget, d.east.Log())
}

func (d *demonstration) takeDown(ctx context.Context) error {
	d.title("Down")
	out, err := d.east.Parley(ctx, "down", "west")
	d.block(out)
	if err != nil {
		return err
	}
	for _, g := range d.gateways() {
		if err := g.Stop(); err != nil {
			return fmt.Errorf("demo: stop %s: %w\n%s", g.Name, err, g.Log())
		}
	}
	return nil
}

func (d *demonstration) gateways() []*gateway {
	var all []*gateway
	for _, g := range []*gateway{d.east, d.west} {
		if g != nil {
			all = append(all, g)
		}
	}
	return all
}

// close ends what is left; after a failure it shows the logs.
func (d *demonstration) close(failure error) error {
	if d.pinger != nil {
		d.pinger.Close()
	}
	for _, c := range d.captures {
		c.Close()
	}
	var err error
	for _, g := range d.gateways() {
		err = errors.Join(err, g.Kill())
	}
	for _, ns := range d.nets {
		ns.Close()
	}
	if failure != nil {
		return nil
	}
	return err
}
