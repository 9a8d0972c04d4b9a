package bench

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// Options say what kind of pair to start.
type Options struct {
	Proposal     string
	Version      uint8       // of IKE; 0: 2
	Keys         lab.KeyKind // that both sides sign with; "": they have a pre-shared key
	OutOfProcess bool
	Dir          string        // for both gateways; short, because it holds sockets
	Profile      string        // a folder for CPU profiles; "" for none
	Flooded      bool          // the responder is to stand a flood
	Liveness     time.Duration // idle time before a peer is asked whether it lives; 0: never
	Brief        bool          // what was replaced is kept for briefGrace

	responder string // proposal of the responder, "": the same
}

// Pair is a running initiator and responder.
type Pair struct {
	initiator, responder *process
	target               netip.AddrPort // the responder
}

// process is a gateway, seen from outside.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	reports *json.Decoder
}

// Start starts a pair.
func Start(o Options) (*Pair, error) {
	a, b := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	if o.Keys != "" {
		if err := writeCertificates(o.Keys, map[string]string{o.folder("initiator"): a.String(), o.folder("responder"): b.String()}); err != nil {
			return nil, err
		}
	}
	responder, ready, err := o.start("responder", Setup{Local: b, Peer: a, Proposal: cmp.Or(o.responder, o.Proposal), Flooded: o.Flooded})
	if err != nil {
		return nil, err
	}
	p := &Pair{responder: responder, target: netip.AddrPortFrom(b, ready.Port)}
	p.initiator, _, err = o.start("initiator", Setup{Initiator: true, Local: a, Peer: b, PeerPort: ready.Port, Proposal: o.Proposal})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// folder is that of a gateway.
func (o Options) folder(role string) string {
	placement := "linked"
	if o.OutOfProcess {
		placement = "hosted"
	}
	return filepath.Join(o.Dir, role+"-"+placement)
}

func (o Options) start(role string, s Setup) (*process, report, error) {
	s.Keys, s.Version = o.Keys, o.Version
	s.OutOfProcess, s.Profile, s.Liveness, s.Brief = o.OutOfProcess, o.Profile, o.Liveness, o.Brief
	s.Dir = o.folder(role)
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, report{}, err
	}
	p, err := startProcess(s)
	if err != nil {
		return nil, report{}, err
	}
	ready, err := p.report()
	if err != nil {
		p.stop()
		return nil, report{}, fmt.Errorf("bench: the %s did not start: %w", role, err)
	}
	return p, ready, nil
}

func startProcess(s Setup) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	setup, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), envGateway+"="+string(setup))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.reports = json.NewDecoder(out)
	return p, p.cmd.Start()
}

func (p *process) tell(o order) (report, error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return report{}, err
	}
	return p.report()
}

func (p *process) report() (r report, err error) {
	if err = p.reports.Decode(&r); err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	return r, err
}

// stop ends the gateway: the end of its orders is its end.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// Stop ends both gateways and their plugins.
func (p *Pair) Stop() {
	for _, g := range []*process{p.initiator, p.responder} {
		if g != nil {
			g.stop()
		}
	}
}

// Side is what one side of a number of handshakes or rekeyings cost.
type Side struct{ CPU, PluginCPU time.Duration }

// Total is the CPU time of gateway and plugins together.
func (s Side) Total() time.Duration { return s.CPU + s.PluginCPU }

// Round is what a number of handshakes or rekeyings cost.
type Round struct {
	Count                int
	Took                 time.Duration
	Initiator, Responder Side // for one of them
	Resent               uint64
}

// Rate is how many there were in a second.
func (r Round) Rate() float64 { return float64(r.Count) / r.Took.Seconds() }

// Run performs n handshakes, inFlight at a time.
func (p *Pair) Run(n, inFlight int) (Round, error) {
	return p.round(order{Handshakes: n, InFlight: inFlight}, n)
}

// Rekey has the initiator rekey n times, inFlight at a time and each SA in its turn. With child set it is child SAs of that
// name that are rekeyed.
func (p *Pair) Rekey(n, inFlight int, child string) (Round, error) {
	return p.round(order{Rekeys: n, InFlight: inFlight, Child: child}, n)
}

// round has the initiator carry out an order for n exchanges and tells what they cost.
func (p *Pair) round(o order, n int) (Round, error) {
	var before, after [2]report
	var err error
	sides := [2]*process{p.initiator, p.responder}
	for i, side := range sides {
		if before[i], err = side.tell(order{}); err != nil {
			return Round{}, err
		}
	}
	for i, o := range [2]order{o, {}} {
		if after[i], err = sides[i].tell(o); err != nil {
			return Round{}, err
		}
		if made := after[i].SAs - before[i].SAs; o.Handshakes > 0 && made != int64(n) {
			return Round{}, fmt.Errorf("bench: %d handshakes made %d SAs", n, made)
		}
	}
	return Round{
		Count: n, Took: after[0].Took, Resent: after[0].Resent - before[0].Resent,
		Initiator: side(before[0].Usage, after[0].Usage, n), Responder: side(before[1].Usage, after[1].Usage, n),
	}, nil
}

func side(before, after Usage, n int) Side {
	return Side{CPU: (after.CPU - before.CPU) / time.Duration(n), PluginCPU: (after.PluginCPU - before.PluginCPU) / time.Duration(n)}
}

// Rest returns the part of a processor that the initiator and the responder use, each with its plugins, over a time in which
// they are told nothing.
func (p *Pair) Rest(d time.Duration) (initiator, responder float64, err error) {
	var used [2]float64
	var before [2]report
	sides := [2]*process{p.initiator, p.responder}
	for i, side := range sides {
		if before[i], err = side.tell(order{}); err != nil {
			return
		}
	}
	time.Sleep(d)
	for i, side := range sides {
		after, err := side.tell(order{})
		if err != nil {
			return 0, 0, err
		}
		used[i] = after.Usage.CPUSince(before[i].Usage).Seconds() / d.Seconds()
	}
	return used[0], used[1], nil
}

// Memory is what an established SA with one child takes, in octets.
type Memory struct{ Heap, RSS, PluginRSS float64 }

// Grow establishes n SAs, does then (if not nil), and returns what each SA takes in the initiator and in the responder.
func (p *Pair) Grow(n, inFlight int, then func() error) (initiator, responder Memory, err error) {
	var grown [2]Memory
	var before [2]report
	sides := [2]*process{p.initiator, p.responder}
	for i, side := range sides {
		if before[i], err = side.tell(order{Settle: true}); err != nil {
			return
		}
	}
	if _, err = p.Run(n, inFlight); err == nil && then != nil {
		err = then()
	}
	if err != nil {
		return
	}
	for i, side := range sides {
		after, err := side.tell(order{Settle: true})
		if err != nil {
			return initiator, responder, err
		}
		grown[i] = growth(before[i].Usage, after.Usage, n)
	}
	return grown[0], grown[1], nil
}

func growth(before, after Usage, n int) Memory {
	per := func(a, b uint64) float64 { return (float64(b) - float64(a)) / float64(n) }
	return Memory{Heap: per(before.Heap, after.Heap), RSS: per(before.RSS, after.RSS), PluginRSS: per(before.PluginRSS, after.PluginRSS)}
}
