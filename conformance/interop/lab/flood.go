package lab

import (
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Flood sends ICMP echo requests all the time and counts which are answered.
type Flood struct {
	pinger   *Pinger
	done     chan struct{}
	wait     sync.WaitGroup
	sent     int
	answered map[uint16]bool // by sequence number
}

const (
	floodSize  = 200             // octets of data
	floodGrace = 2 * time.Second // within which the last answers must come
)

// NewFlood begins to send from one address of the namespace to another, one packet in each interval and 65,535 at most.
func (ns *Namespace) NewFlood(from, to netip.Addr, interval time.Duration) (*Flood, error) {
	p, err := ns.NewPinger(from, to)
	if err != nil {
		return nil, err
	}
	f := &Flood{pinger: p, done: make(chan struct{}), answered: map[uint16]bool{}}
	f.wait.Go(func() { f.send(interval) })
	f.wait.Go(f.receive)
	return f, nil
}

func (f *Flood) send(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for f.sent < math.MaxUint16 {
		select {
		case <-f.done:
			return
		case <-tick.C:
		}
		f.pinger.sequence++
		if packet, err := f.pinger.request(floodSize); err == nil {
			_, _ = f.pinger.conn.WriteTo(packet, &net.IPAddr{IP: f.pinger.to.AsSlice()})
		}
		f.sent++ // what the kernel refuses to send is lost, too
	}
}

// receive notes the answers until none has come for a while after the end. What others are sent comes here, too, and is no reason to
// wait on.
func (f *Flood) receive() {
	buf := make([]byte, 65536)
	f.await()
	for {
		n, _, err := f.pinger.conn.ReadFrom(buf)
		switch {
		case err == nil && f.pinger.isAnswer(buf[:n]):
			f.answered[binary.BigEndian.Uint16(buf[6:])] = true
			f.await()
		case err != nil && f.ended():
			return
		case err != nil:
			f.await()
		}
	}
}

// await gives the next answer its time.
func (f *Flood) await() { _ = f.pinger.conn.SetReadDeadline(time.Now().Add(floodGrace)) }

func (f *Flood) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Stop ends the flood and returns how many requests were sent, and how many of them were not answered.
func (f *Flood) Stop() (sent, lost int) {
	close(f.done)
	f.wait.Wait()
	f.pinger.Close()
	return f.sent, f.sent - len(f.answered)
}
