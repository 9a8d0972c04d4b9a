package interop

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	stdnet "net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

const (
	hostileCount = 20_000 // datagrams of each test
	hostileAddr  = "192.0.2.66"
	hostileBurst = 500 // after so many, packets of the tunnel must still cross
)

// hostile is datagrams that somebody throws at a gateway. next returns the datagram with a number, and to which port.
type hostile struct {
	name string
	next func(r *rand.Rand, i int) ([]byte, int)
}

var hostiles = []hostile{
	{"random", func(r *rand.Rand, i int) ([]byte, int) { return noise(r, r.IntN(1500)), port(i) }},
	{"an IKE header and noise", func(r *rand.Rand, i int) ([]byte, int) {
		h := wire.Header{InitiatorSPI: r.Uint64(), NextPayload: wire.PayloadType(33 + r.IntN(16)), Major: 2, Exchange: wire.ExchangeType(34 + r.IntN(5)), Flags: wire.Flags(r.UintN(64)), MessageID: r.Uint32N(3)}
		body := noise(r, r.IntN(600))
		h.Length = uint32(28 + len(body))
		return to(port(i), append(h.Append(nil), body...)), port(i)
	}},
	{"every prefix of a request", func(r *rand.Rand, i int) ([]byte, int) {
		m := request(r, 1)
		return to(port(i), m[:i%len(m)]), port(i)
	}},
	{"one request, again and again", func(_ *rand.Rand, i int) ([]byte, int) {
		return to(port(i), request(rand.New(rand.NewPCG(1, 1)), 1)), port(i)
	}},
	{"ever new requests", func(r *rand.Rand, i int) ([]byte, int) { return to(port(i), request(r, 1)), port(i) }},
	{"thousands of transforms", func(r *rand.Rand, i int) ([]byte, int) { return to(port(i), request(r, 30)), port(i) }},
	{"ESP of nobody", func(r *rand.Rand, i int) ([]byte, int) { return noise(r, 4+r.IntN(1400)), 4500 }},
}

// oversized are so large that they come in fragments, and so slow that there are fewer.
var oversized = hostile{"oversized", func(r *rand.Rand, i int) ([]byte, int) {
	m := request(r, 1)
	m = append(m, make([]byte, 60_000-len(m))...)
	binary.BigEndian.PutUint32(m[24:], []uint32{60_000, uint32(len(m)), 1 << 31, 28}[i%4])
	return to(port(i), m), port(i)
}}

func port(i int) int { return []int{500, 4500}[i%2] }

// to puts the non-ESP marker before what goes to UDP 4500 (RFC 3948 section 2.2).
func to(port int, ike []byte) []byte {
	if port == 4500 {
		return append(make([]byte, 4, 4+len(ike)), ike...)
	}
	return ike
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// request is an IKE_SA_INIT request that a responder would answer, with more proposals than one needs: each brings 255
// transforms, and only the last one anything known.
func request(r *rand.Rand, proposals int) []byte {
	var sa wire2.SA
	for n := range proposals - 1 {
		p := wire2.Proposal{Number: uint8(n + 1), Protocol: wire2.ProtoIKE}
		for range 255 {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: wire2.TransformENCR, ID: uint16(r.Uint32())})
		}
		sa.Proposals = append(sa.Proposals, p)
	}
	sa.Proposals = append(sa.Proposals, wire2.Proposal{Number: uint8(proposals), Protocol: wire2.ProtoIKE, Transforms: []wire2.Transform{
		{Type: wire2.TransformENCR, ID: 20, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 256}}},
		{Type: wire2.TransformPRF, ID: 5}, {Type: wire2.TransformKE, ID: 31},
	}})
	m := wire2.Message{
		Header:   wire.Header{InitiatorSPI: r.Uint64() | 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator},
		Payloads: []wire2.Payload{sa, wire2.KE{Method: 31, Data: noise(r, 32)}, wire2.Nonce{Data: noise(r, 32)}},
	}
	return m.Append(nil)
}

// anybody lets strangers begin, so that what they send goes as deep as it can.
const anybody = `daemon { half_open_timeout = "5s" }
connection "anybody" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "%any"  identity = "north.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.3.0.0/16"] }
}
credentials {
  psk "north.example.net" { file = "peer.psk" }
}`

// TestHostileDatagramsHarmNothing: while they come, an established tunnel carries packets; afterwards daemon and plugins are
// the same processes and serve as before, and memory is bounded.
func TestHostileDatagramsHarmNothing(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.gateway(t, s.east, "MORE", anybody), s.gateway(t, s.west)
	parley(t, west, "up", "east")
	s.pings(t, 2)
	before, plugins := sas(t, east), pluginPIDs(t, east)
	must(t, s.west.Addr("wan", host(hostileAddr)))
	conn := s.attacker(t)
	r := rand.New(rand.NewPCG(2026, 11))
	most := 0
	for _, h := range hostiles {
		s.attack(t, conn, h, r, hostileCount/len(hostiles))
		most = max(most, halfOpen(t, east))
	}
	if most == 0 || most > 512 { // one source may begin some at a time, and does not return the cookies that it is asked for
		t.Errorf("at most %d half-open SAs: the datagrams did not arrive, or nothing stops them", most)
	}
	s.attack(t, conn, oversized, r, 400)
	s.knownSPIs(t, conn, east, r)
	if after := sas(t, east); field(before, 6) != field(after, 6) {
		t.Errorf("the SA is another:\n%s\n%s", before, after)
	}
	if now := pluginPIDs(t, east); now != plugins {
		t.Errorf("plugins were %s and are %s", plugins, now)
	}
	if mib := memory(t, east.PID()); mib > 256 {
		t.Errorf("the daemon takes %d MiB", mib)
	}
	parley(t, west, "down", "east")
	parley(t, west, "up", "east") // under cookies, if any half-open SAs are left
	s.pings(t, 5)
	eventually(t, "no half-open SA is left", func() bool { return halfOpen(t, east) == 0 })
}

// halfOpen is how many SAs of strangers the daemon keeps.
func halfOpen(t *testing.T, g *lab.Gateway) int {
	t.Helper()
	var status struct {
		Counts struct {
			HalfOpen int `json:"half_open"`
		} `json:"counts"`
	}
	must(t, json.Unmarshal([]byte(parley(t, g, "status", "-o", "json")), &status))
	return status.Counts.HalfOpen
}

func (s *site) attacker(t *testing.T) *stdnet.UDPConn {
	t.Helper()
	var conn *stdnet.UDPConn
	must(t, s.west.Do(func() (err error) {
		conn, err = stdnet.ListenUDP("udp4", &stdnet.UDPAddr{IP: stdnet.ParseIP(hostileAddr)})
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *site) attack(t *testing.T, conn *stdnet.UDPConn, h hostile, r *rand.Rand, n int) {
	t.Helper()
	east, p := netip.MustParseAddr(s.eastWAN), s.pinger(t)
	for i := range n {
		b, port := h.next(r, i)
		if _, err := conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(east, uint16(port))); err != nil && !strings.Contains(err.Error(), "refused") {
			t.Fatalf("%s: datagram %d: %v", h.name, i, err)
		}
		if i%hostileBurst == hostileBurst-1 {
			eventually(t, "a packet crosses the tunnel while "+h.name+" comes", func() bool { _, err := p.Ping(500, time.Second); return err == nil })
		}
	}
}

// knownSPIs sends what carries the SPIs of the tunnel itself, which anybody on the way can see.
func (s *site) knownSPIs(t *testing.T, conn *stdnet.UDPConn, g *lab.Gateway, r *rand.Rand) {
	t.Helper()
	var list struct {
		SAs []struct {
			SPIi     string `json:"spi_i"`
			SPIr     string `json:"spi_r"`
			Children []struct {
				SPIIn string `json:"spi_in"`
			} `json:"children"`
		} `json:"sas"`
	}
	must(t, json.Unmarshal([]byte(parley(t, g, "sa", "list", "-o", "json")), &list))
	if len(list.SAs) != 1 || len(list.SAs[0].Children) != 1 {
		t.Fatalf("%+v", list)
	}
	sa := list.SAs[0]
	spiI, spiR, spiIn := hexNumber(t, sa.SPIi), hexNumber(t, sa.SPIr), hexNumber(t, sa.Children[0].SPIIn)
	s.attack(t, conn, hostile{"IKE with the SPIs of the SA", func(r *rand.Rand, i int) ([]byte, int) {
		h := wire.Header{InitiatorSPI: spiI, ResponderSPI: spiR, NextPayload: 46, Major: 2, Exchange: wire.ExchangeType(34 + r.IntN(4)), Flags: wire.Flags(r.UintN(64)), MessageID: r.Uint32N(6)}
		body := noise(r, 4+r.IntN(200))
		binary.BigEndian.PutUint16(body[2:], uint16(len(body)))
		h.Length = uint32(28 + len(body))
		return to(port(i), append(h.Append(nil), body...)), port(i)
	}}, r, 1000)
	s.attack(t, conn, hostile{"ESP with the SPI of the SA", func(r *rand.Rand, _ int) ([]byte, int) {
		b := noise(r, 8+r.IntN(1400))
		binary.BigEndian.PutUint32(b, uint32(spiIn))
		return b, 4500
	}}, r, 1000)
}

func hexNumber(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	must(t, err)
	return n
}

func field(line string, n int) string {
	all := strings.Fields(line)
	if n >= len(all) {
		return line
	}
	return all[n]
}

// memory is the resident memory of a process in MiB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	must(t, err)
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, err)
	return kib / 1024
}
