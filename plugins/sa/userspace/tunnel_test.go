package userspace

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
)

var suites = []struct {
	name              string
	encr, bits, integ uint16
	esn               bool
}{
	{"aes128gcm16", 20, 128, 0, false}, {"aes256gcm16-esn", 20, 256, 0, true}, {"aes192gcm16", 20, 192, 0, false},
	{"chacha20poly1305-esn", 28, 0, 0, true},
	{"aes128cbc-sha1", 12, 128, 2, false}, {"aes256cbc-sha256-esn", 12, 256, 12, true},
	{"aes192cbc-sha384", 12, 192, 13, false}, {"aes256cbc-sha512-esn", 12, 256, 14, true},
}

// The whole matrix: suites, families inside and outside, plain and in UDP; and a look at the wire each time.
func TestPacketsCrossAsESPAndNeverInClear(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	wire := l.capture()
	id := byte(0)
	for _, s := range suites {
		for _, six := range []bool{false, true} {
			for _, encap := range []bool{false, true} {
				id++
				t.Run(fmt.Sprintf("%s/outside6=%v/udp=%v", s.name, six, encap), func(t *testing.T) {
					ends := l.install(tunnel{id: id, seed: id, encr: s.encr, bits: s.bits, integ: s.integ, esn: s.esn, six: six, encap: encap})
					defer l.remove(ends)
					wire.take()
					for _, in := range [][2]netip.Addr{inner4, inner6} {
						if got := l.node[0].ping(in[0], in[1], 3, 600); got != 3 {
							t.Errorf("%d of 3 probes from %v came back; %v %v", got, in[0], l.node[0].do(request{Op: "stats"}).Stats, l.node[1].do(request{Op: "stats"}).Stats)
						}
					}
					onlyESP(t, wire.take(), 12, encap, six)
					if u := l.node[1].must(request{Op: "usage", Child: ends[1]}).Usage; u.PacketsIn != 6 || u.PacketsOut != 6 || u.BytesIn != u.BytesOut || u.BytesIn != 3*(628+648) {
						t.Errorf("usage %+v", u)
					}
				})
			}
		}
	}
}

// onlyESP checks that the frames are ESP, as many as wanted, and nothing else but neighbour discovery.
func onlyESP(t *testing.T, frames [][]byte, want int, encap, six bool) {
	t.Helper()
	seen := 0
	for _, b := range frames {
		if bytes.Contains(b, marker) {
			t.Errorf("a probe crossed in clear: %x", b)
		}
		p, ok := parseFrame(b)
		if !ok || p.proto == protoICMPv6 && p.esp == nil {
			continue
		}
		if p.esp == nil || p.encap != encap || p.src.Is6() != six {
			t.Errorf("a packet of protocol %d from %v to %v is not the ESP that was asked for", p.proto, p.src, p.dst)
			continue
		}
		seen++
	}
	if seen != want {
		t.Errorf("%d ESP packets crossed, want %d", seen, want)
	}
}

func sequenceNumbers(frames [][]byte, spi uint32) (out []uint32) {
	for _, b := range frames {
		if p, ok := parseFrame(b); ok && p.esp != nil {
			if s, seq, ok := esp.Header(p.esp); ok && s == spi {
				out = append(out, seq)
			}
		}
	}
	return out
}
