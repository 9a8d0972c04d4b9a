package userspace

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/sdk/sa"
)

// What a node process does, see lab_test.go.

const (
	echoPort   = 7
	streamPort = 9
)

// marker is in every probe, so that a capture can prove that it did not cross in clear.
var marker = []byte("this-must-never-be-seen-on-the-wire")

type nodeState struct {
	plugin *Plugin
	sink   net.Listener
	mu     sync.Mutex
	told   []string
}

func (s *nodeState) tell(e sa.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf("%T%+v", e, e))
}

func runNode() {
	s := &nodeState{}
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var r request
		if in.Decode(&r) != nil {
			return // the test is over
		}
		a, err := s.serve(r)
		if err != nil {
			a.Err = err.Error()
		}
		_ = out.Encode(a)
	}
}

func (s *nodeState) serve(r request) (a reply, err error) {
	ctx := context.Background()
	switch r.Op {
	case "new":
		return a, s.start(r)
	case "install":
		return a, s.plugin.Install(ctx, r.Child)
	case "events": // since the last time
		s.mu.Lock()
		defer s.mu.Unlock()
		a.Names, s.told = s.told, nil
		return a, nil
	case "traps":
		return a, s.plugin.SetTraps(ctx, "test", r.Traps)
	case "update":
		return a, s.plugin.Update(ctx, r.Child)
	case "kit":
		return a, conforms(ctx, s.plugin)
	case "remove":
		a.Usage, err = s.plugin.Remove(ctx, r.Child)
		return a, err
	case "usage":
		a.Usage, err = s.plugin.Usage(ctx, r.Child)
		return a, err
	case "list":
		list, err := s.plugin.List(ctx, "test")
		for _, c := range list {
			a.Names = append(a.Names, c.Name)
		}
		sort.Strings(a.Names)
		return a, err
	case "canary":
		return a, s.plugin.Canary(ctx)
	case "stats":
		a.Stats = s.plugin.Stats()
		return a, nil
	case "close":
		return a, s.plugin.Close(r.Remove)
	case "ping":
		a.N, err = ping(r)
		return a, err
	case "sink":
		return a, s.listen(r.From)
	case "stream":
		a.Bytes, err = stream(r)
		return a, err
	case "cpu":
		var u syscall.Rusage
		err = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		a.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
		return a, err
	}
	return a, errors.New("unknown operation " + r.Op)
}

// conforms runs the suite for SA backends in this namespace.
func conforms(ctx context.Context, p *Plugin) error {
	var problems []error
	for _, check := range sakit.Checks() {
		if r := check.Judge(ctx, sakit.Fixture{Plugin: p}, kit.CheckTime); r.Verdict == kit.Failed {
			problems = append(problems, fmt.Errorf("%s (%s): %s", r.Name, r.Rule, r.Detail))
		}
	}
	return errors.Join(problems...)
}

func (s *nodeState) start(r request) (err error) {
	var sockets Sockets
	for _, at := range r.Encap {
		network := "udp4"
		if at.Addr().Is6() {
			network = "udp6"
		}
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		f, err := c.File()
		if err != nil {
			return err
		}
		_ = c.Close()
		sockets.Encap = append(sockets.Encap, f)
	}
	for _, at := range []string{fmt.Sprintf("0.0.0.0:%d", echoPort), fmt.Sprintf("[::]:%d", echoPort)} {
		network := "udp4"
		if at[0] == '[' {
			network = "udp6"
		}
		addr, _ := net.ResolveUDPAddr(network, at)
		c, err := net.ListenUDP(network, addr)
		if err != nil {
			return err
		}
		go echo(c)
	}
	if s.plugin, err = New(r.Config, sockets); err == nil {
		go s.plugin.Watch(context.Background(), s.tell)
	}
	return err
}

func echo(c *net.UDPConn) {
	for buf := make([]byte, 1<<16); ; {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		_, _ = c.WriteToUDPAddrPort(buf[:n], from)
	}
}

func ping(r request) (came int, err error) {
	network := "udp4"
	if r.From.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.DialUDP(network, net.UDPAddrFromAddrPort(r.From), net.UDPAddrFromAddrPort(r.To))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	probe := make([]byte, max(r.Size, len(marker)+1))
	copy(probe[1:], marker)
	buf := make([]byte, 1<<16)
	for i := range r.N {
		probe[0] = byte(i)
		if _, err := c.Write(probe); err != nil {
			continue // an ICMP error that came back
		}
		_ = c.SetReadDeadline(time.Now().Add(cmp.Or(r.Wait, 3*time.Second)))
		if n, err := c.Read(buf); err == nil && bytes.Equal(buf[:n], probe) {
			came++
		}
	}
	return came, nil
}

func (s *nodeState) listen(at netip.AddrPort) (err error) {
	s.sink, err = net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	go func() {
		c, err := s.sink.Accept()
		if err != nil {
			return
		}
		for buf := make([]byte, 1<<18); err == nil; {
			_, err = c.Read(buf)
		}
	}()
	return nil
}

// stream sends for N milliseconds.
func stream(r request) (sent uint64, err error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(r.From), Timeout: 3 * time.Second}
	c, err := d.Dial("tcp", r.To.String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 1<<18)
	for end := time.Now().Add(time.Duration(r.N) * time.Millisecond); time.Now().Before(end); {
		n, err := c.Write(buf)
		sent += uint64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
