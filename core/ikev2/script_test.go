package ikev2

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

var update = flag.Bool("update", false, "write what happens into the scripts in testdata")

// TestScripts plays the dialogues in testdata. A script is a sequence of commands, each followed by a line "----" and the
// full trace of what the command caused, up to an empty line. Lines that begin with # are comments. With -update the traces
// are written anew; review the difference as code.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata (%v)", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			playFile(t, f)
		})
	}
}

func playFile(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{newWorld(t)}
	got := p.play(string(b))
	p.checkEnd()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareScripts(t, string(b), got)
}

func compareScripts(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			from := max(0, i-3)
			t.Fatalf("differs at line %d:\ngot:\n%s\nwant:\n%s", i+1, strings.Join(g[from:min(len(g), i+3)], "\n"),
				strings.Join(w[from:min(len(w), i+3)], "\n"))
		}
	}
}

// player runs the commands of a script in a world.
type player struct{ *world }

// play returns the script with the traces that really happened.
func (p *player) play(script string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintf(&out, "%s\n----\n", line)
		p.trace = nil
		p.command(strings.Fields(line))
		for p.answerCalls() || p.tickSpawned() {
		}
		for _, l := range p.trace {
			fmt.Fprintln(&out, l)
		}
		if i+1 < len(lines) && lines[i+1] == "----" { // skip the old trace
			for i++; i+1 < len(lines) && lines[i+1] != ""; i++ {
			}
		}
	}
	return out.String()
}

func (p *player) command(w []string) {
	p.t.Helper()
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	commands := map[string]func(){
		"nodes":     func() { p.makeNodes(w[1:]) },
		"initiate":  func() { p.initiate(arg(1), w[2:]) },
		"run":       p.run,
		"up":        func() { p.initiate("a", w[1:]); p.run(); p.trace = nil }, // a1 and b1, as in happy.txt
		"deliver":   func() { p.deliver(p.index(arg(1))) },
		"drop":      func() { i := p.index(arg(1)); p.flight = slices.Delete(p.flight, i, i+1) },
		"dup":       func() { p.arrive(p.flight[p.index(arg(1))]) },
		"advance":   func() { p.advance(p.duration(arg(1))) },
		"wait":      func() { p.pass(p.duration(arg(1)), func() {}) },
		"terminate": func() { p.step(p.sa(arg(1)), machine.Terminate{Child: arg(2), Reason: "the test says so"}) },
		"lost":      func() { p.step(p.sa(arg(1)), machine.ChildLost{SPIIn: p.spi(arg(2))}) },
		"placed": func() {
			p.step(p.sa(arg(1)), machine.ChildPlaced{SPIIn: p.spi(arg(2)), Where: strings.ReplaceAll(arg(3), "_", " "), Reason: strings.Join(w[4:], " ")})
		},
		"seen": func() {
			p.step(p.sa(arg(1)), machine.ChildMoved{SPIIn: p.spi(arg(2)), Remote: netip.MustParseAddrPort(arg(3))})
		},
		"migrate": func() { p.migrate(p.sa(arg(1)), arg(2), w[3:]) },
		"probe":   func() { p.step(p.sa(arg(1)), machine.Probe{}) },
		"expired": func() { p.expired(p.sa(arg(1)), arg(2), arg(3)) },
		"rekey":   func() { p.step(p.sa(arg(1)), machine.Rekey{Child: arg(2)}) },
		"more":    func() { p.step(p.sa(arg(1)), machine.Initiate{Children: w[2:]}) },
		"hold":    func() { p.node(arg(1)).hold[arg(2)] = true },
		"release": func() { delete(p.node(arg(1)).hold, arg(2)) },
		"lose":    func() { p.lose(p.node(arg(1)), arg(2)) },
		"fail":    func() { p.fail(p.node(arg(1)), arg(2), arg(3), arg(4)) },
		"forge":   func() { p.forge(p.sa(arg(1)), w[2:]) },
		"seal":    func() { p.seal(p.sa(arg(1)), w[2:]) },
		"tamper":  func() { p.tamper(p.index(arg(1))) },
		"moveto":  func() { p.node(arg(1)).nat = netip.MustParseAddr(arg(2)) },
		"cookies": func() { p.node(arg(1)).cookies = arg(2) == "on" },
		"dead":    func() { p.node(arg(1)).addr = netip.MustParseAddr("203.0.113.99") },
		"trust":   func() { p.node(arg(1)).trusts = true },
		"mtu":     func() { p.node(arg(1)).mtu, _ = strconv.Atoi(arg(2)) },
		"state":   p.state,
		"exhaust": func() { p.sa(arg(1)).own.next = maxMessageID; p.meddled = true },
	}
	commands["path"] = func() { p.step(p.sa(arg(1)), machine.Path{Lost: strings.Join(w[2:], " ")}) }
	commands["reconfigure"] = func() { p.reconfigure(p.sa(arg(1)), w[2:]) }
	p.sessionCommands(commands, arg)
	run, ok := commands[w[0]]
	if !ok {
		p.t.Fatalf("unknown command %q", w)
	}
	run()
}

func (p *player) node(name string) *node {
	p.t.Helper()
	for _, n := range p.nodes {
		if n.name == name {
			return n
		}
	}
	p.t.Fatalf("no node %q", name)
	return nil
}

func (p *player) sa(label string) *host {
	p.t.Helper()
	for _, h := range p.all() {
		if h.label == label {
			return h
		}
	}
	p.t.Fatalf("no SA %q", label)
	return nil
}

func (p *player) index(s string) int {
	p.t.Helper()
	n := 1
	if s != "" {
		n, _ = strconv.Atoi(s)
	}
	if n < 1 || n > len(p.flight) {
		p.t.Fatalf("no packet %q in flight: there are %d", s, len(p.flight))
	}
	return n - 1
}

func (p *player) duration(s string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// makeNodes makes a at 192.0.2.1 and b at 192.0.2.2 that agree; words such as "b.ike=aes128-sha256-modp2048" make them
// disagree.
func (p *player) makeNodes(words []string) {
	p.t.Helper()
	opt := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		opt[k] = v
	}
	p.makeNode("a", "192.0.2.1", "192.0.2.2", "east.example", "west.example", "10.1.0.0/16", "10.2.0.0/16", opt)
	p.makeNode("b", "192.0.2.2", "192.0.2.1", "west.example", "east.example", "10.2.0.0/16", "10.1.0.0/16", opt)
	for i, name := range strings.Fields(strings.ReplaceAll(opt["more"], ",", " ")) { // more children: more=dmz,lab
		p.addChild("a", name, fmt.Sprintf("10.%d.0.0/16", 11+2*i), fmt.Sprintf("10.%d.0.0/16", 12+2*i), opt)
		p.addChild("b", name, fmt.Sprintf("10.%d.0.0/16", 12+2*i), fmt.Sprintf("10.%d.0.0/16", 11+2*i), opt)
	}
}

// addChild gives a node one more child, in a backend of its own; "b.dmz-esp=..." makes it differ.
func (p *player) addChild(node, name, local, remote string, opt map[string]string) {
	p.t.Helper()
	get := func(key, or string) string {
		if v, ok := opt[node+"."+name+"-"+key]; ok {
			return v
		}
		return or
	}
	n := p.node(node)
	n.conn.Children = append(n.conn.Children, &policy.Child{Name: name, LocalTS: p.selectors(get("local-ts", local)),
		RemoteTS: p.selectors(get("remote-ts", remote)), ESP: p.proposals(policy.ScopeESP, get("esp", "aes128gcm16")), Backend: "other"})
	assign(n.conn, n.conn.Children[len(n.conn.Children)-1], get)
	size := n.conn.FragmentSize // off in most scripts
	n.conn.ApplyDefaults()
	n.conn.FragmentSize = size
	n.conn.Liveness = p.duration(get("liveness", "0s"))
}

func (p *player) makeNode(name, local, remote, localID, remoteID, localTS, remoteTS string, opt map[string]string) {
	p.t.Helper()
	get := func(key, or string) string {
		if v, ok := opt[name+"."+key]; ok {
			return v
		}
		return or
	}
	conn := &policy.Connection{
		Name:   "to-" + remoteID,
		Local:  policy.Endpoint{Addr: netip.MustParseAddr(local), Identity: p.identity(get("local-id", localID))},
		Remote: policy.Endpoint{Identity: p.identity(get("remote-id", remoteID))},
		IKE:    p.proposals(policy.ScopeIKE, get("ike", "aes256gcm16-prfsha256-x25519-ecp256")),
		Children: []*policy.Child{{Name: "lan", LocalTS: p.selectors(get("local-ts", localTS)), RemoteTS: p.selectors(get("remote-ts", remoteTS)),
			ESP: p.proposals(policy.ScopeESP, get("esp", "aes128gcm16")), Backend: "fake"}},
		Retransmit: policy.Retransmit{Initial: time.Second, Factor: 2, Max: 8 * time.Second, Tries: 3},
		CallBudget: 2 * time.Second, HalfOpen: 10 * time.Second, ForceEncap: get("encap", "") != "",
		MOBIKE: get("mobike", "") != "",
	}
	if from := get("from", "0.0.0.0/0"); from != "nowhere" {
		conn.Remote.Prefixes = []netip.Prefix{netip.MustParsePrefix(from)}
	} else {
		conn.Remote.Addr = netip.MustParseAddr("203.0.113.77")
	}
	pool := p.makeAddresses(conn, get)
	conn.ApplyDefaults()
	conn.Liveness = p.duration(get("liveness", "0s"))
	p.makeSession(conn, get)
	p.makeLifetimes(conn, get)
	if v := get("max-children", ""); v != "" {
		conn.MaxChildren, _ = strconv.Atoi(v)
	}
	conn.FragmentSize, _ = strconv.Atoi(get("fragments", "0"))
	conn.Window, _ = strconv.Atoi(get("window", "1"))
	n := p.addNode(name, conn, map[string]string{get("psk-for", ""): get("psk", "secret")})
	n.conn.Remote.Addr = conn.Remote.Addr
	n.pool = pool
	p.makeSigner(n, get)
	if v := get("nat", ""); v != "" {
		n.nat = netip.MustParseAddr(v)
		if name == "a" { // a masquerading NAT; that of b forwards ports
			n.shift = 10000
		}
	}
}

func (p *player) identity(s string) policy.Identity {
	p.t.Helper()
	id, err := policy.ParseIdentity(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *player) proposals(scope policy.Scope, s string) (list []policy.Proposal) {
	p.t.Helper()
	for _, one := range strings.Split(s, ",") {
		pr, err := policy.ParseProposal(scope, one)
		if err != nil {
			p.t.Fatal(err)
		}
		list = append(list, pr)
	}
	return list
}

func (p *player) selectors(s string) (list []policy.Selector) {
	p.t.Helper()
	for _, one := range strings.Split(s, ",") {
		ts, err := policy.ParseSelector(one)
		if err != nil {
			p.t.Fatal(err)
		}
		list = append(list, ts)
	}
	return list
}

// initiate starts an SA from one node to the other.
func (p *player) initiate(name string, children []string) {
	n := p.node(name)
	other := p.nodes[0]
	if other == n {
		other = p.nodes[1]
	}
	to := other.addr
	if other.nat.IsValid() {
		to = other.nat
	}
	sa := n.newSA(true, netip.AddrPortFrom(n.addr, portIKE), netip.AddrPortFrom(to, portIKE))
	p.step(sa, machine.Initiate{Children: children})
}

// lose drops the held calls of a kind: their plugin died silently.
func (p *player) lose(n *node, op string) {
	n.held = slices.DeleteFunc(n.held, func(c pending) bool { return opName(c.call.Op) == op })
	delete(n.hold, op)
}

func (p *player) fail(n *node, op, kind, times string) {
	kinds := map[string]machine.ErrorKind{"unavailable": machine.Unavailable, "refused": machine.Refused, "invalid": machine.Invalid,
		"internal": machine.Internal, "overloaded": machine.Overloaded, "unsupported": machine.Unsupported}
	count, err := strconv.Atoi(times)
	if err != nil {
		count = 1
	}
	n.faults = append(n.faults, fault{op, machine.CallError{Kind: kinds[kind], Text: "fake: as the test wants"}, count})
}

func (p *player) spi(hex string) uint32 {
	p.t.Helper()
	spi, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		p.t.Fatal(err)
	}
	return uint32(spi)
}

// migrate moves a node to another address and tells its SA, with what else it can be reached at.
func (p *player) migrate(sa *host, addr string, additional []string) {
	p.t.Helper()
	sa.node.addr = netip.MustParseAddr(addr)
	in := machine.Migrate{Local: netip.AddrPortFrom(sa.node.addr, 0)}
	for _, a := range additional {
		in.Additional = append(in.Additional, netip.MustParseAddr(a))
	}
	p.step(sa, in)
}

// forge sends an initiator an unprotected IKE_SA_INIT response with a notify: its number, and data in hex.
func (p *player) forge(to *host, w []string) {
	p.t.Helper()
	n := wire2.Notify{Kind: p.notify(w[0])}
	if len(w) > 1 {
		n.Data = p.hex(w[1])
	}
	h := wire.Header{InitiatorSPI: to.spii, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagResponse}
	b := wire2.Message{Header: h, Payloads: []wire2.Payload{n}}.Append(nil)
	p.step(to, machine.Datagram{Local: to.local, Remote: to.remote, Bytes: b})
}

func (p *player) notify(name string) wire2.NotifyType {
	p.t.Helper()
	for k := range 50000 {
		if t := wire2.NotifyType(k); t.String() == name {
			return t
		}
	}
	p.t.Fatalf("no notify %q", name)
	return 0
}

func (p *player) hex(s string) []byte {
	p.t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// seal sends a well-protected message that an SA would not send by itself: exchange, message ID, "request" or "response",
// and payloads.
func (p *player) seal(from *host, w []string) {
	p.t.Helper()
	exchanges := map[string]wire.ExchangeType{"IKE_AUTH": wire2.IKEAuth, "INFORMATIONAL": wire2.Informational, "CREATE_CHILD_SA": wire2.CreateChildSA, "EXCHANGE_99": 99}
	id, _ := strconv.Atoi(w[1])
	h := wire.Header{InitiatorSPI: from.spii, ResponderSPI: from.spir, Major: 2, Exchange: exchanges[w[0]], MessageID: uint32(id)}
	if from.initiator {
		h.Flags |= wire.FlagInitiator
	}
	if w[2] == "response" {
		h.Flags |= wire.FlagResponse
	}
	var ps []wire2.Payload
	for _, word := range w[3:] {
		ps = append(ps, p.payload(word))
	}
	b, err := from.tap.Seal(h, ps, rand.NewChaCha8([32]byte{}))
	if err != nil {
		p.t.Fatal(err)
	}
	d := datagram{from: from, Send: machine.Send{Local: from.local, Remote: from.remote, Bytes: b}}
	p.logf("%s forges %s", from.label, renderMessage(from.tap, b))
	p.arrive(d)
}

func (p *player) payload(word string) wire2.Payload {
	p.t.Helper()
	kind, value, _ := strings.Cut(word, ":")
	switch kind {
	case "cp":
		return p.cpPayload(value)
	case "notify":
		name, data, _ := strings.Cut(value, "=")
		return wire2.Notify{Kind: p.notify(name), Data: p.hex(data)}
	case "rekey", "not-found":
		kind := map[string]wire2.NotifyType{"rekey": wire2.RekeySA, "not-found": wire2.ChildSANotFound}[kind]
		return wire2.Notify{Kind: kind, Protocol: wire2.ProtoESP, SPI: p.hex(value)}
	case "error": // one without a name
		n, _ := strconv.Atoi(value)
		return wire2.Notify{Kind: wire2.NotifyType(n)}
	case "ke-wanted":
		n, _ := strconv.Atoi(value)
		return wire2.Notify{Kind: wire2.InvalidKEPayload, Data: []byte{byte(n >> 8), byte(n)}}
	case "unknown":
		return wire2.Unknown{Number: 200, Body: []byte("?")}
	case "critical":
		return wire2.Unknown{Number: 200, Critical: true, Body: []byte("!")}
	case "malformed": // a Delete payload shorter than its fields
		return wire2.Unknown{Number: wire2.TypeDelete, Body: []byte{3}}
	case "sa":
		return wire2.SA{Proposals: []wire2.Proposal{{Number: 1, Protocol: wire2.ProtoESP, SPI: []byte{0, 0, 9, 9},
			Transforms: []wire2.Transform{{Type: wire2.TransformENCR, ID: 28}}}}}
	case "nonce":
		return wire2.Nonce{Data: make([]byte, 32)}
	case "idr":
		return wire2.IDr(p.identity(value).Wire())
	case "idi":
		return wire2.IDi(p.identity(value).Wire())
	case "auth":
		return wire2.Auth{Method: wire2.AuthSharedKeyMIC, Data: []byte("whatever")}
	case "ike": // ike:SPI:PROPOSAL
		spi, words, _ := strings.Cut(value, ":")
		return wire2.SA{Proposals: []wire2.Proposal{p.proposals(policy.ScopeIKE, words)[0].Wire(1, wire2.ProtoIKE, p.hex(spi))}}
	case "ke": // ke:METHOD
		n, _ := strconv.Atoi(value)
		return wire2.KE{Method: uint16(n), Data: make([]byte, 32)}
	case "esp": // esp:SPI:PROPOSAL
		spi, words, _ := strings.Cut(value, ":")
		return wire2.SA{Proposals: []wire2.Proposal{p.proposals(policy.ScopeESP, words)[0].Wire(1, wire2.ProtoESP, p.hex(spi))}}
	case "tsi":
		return wire2.TSi{Selectors: policy.SelectorsToWire(p.selectors(value))}
	case "tsr":
		return wire2.TSr{Selectors: policy.SelectorsToWire(p.selectors(value))}
	case "tsr-odd": // and one of a type that nobody knows
		return wire2.TSr{Selectors: append(policy.SelectorsToWire(p.selectors(value)), wire2.TrafficSelector{Type: 99})}
	case "delete":
		if value == "ike" {
			return wire2.Delete{Protocol: wire2.ProtoIKE}
		}
		return wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4, SPIs: [][]byte{p.hex(value)}}
	}
	p.t.Fatalf("no payload %q", word)
	return nil
}

// tamper flips a bit of a packet in flight.
func (p *player) tamper(i int) {
	b := slices.Clone(p.flight[i].Bytes)
	b[len(b)-1] ^= 1
	p.flight[i].Bytes = b
}

// state shows all SAs, and what the backends hold.
func (p *player) state() {
	for _, h := range p.all() {
		var children []string
		for _, c := range h.Info().Children {
			children = append(children, c.Name+" "+c.SPIIn+" "+c.SPIOut)
		}
		if in := h.Info().Inner; len(in.Given)+len(in.Assigned) > 0 {
			p.logf("%s gave %v, has %v", h.label, in.Given, in.Assigned)
		}
		p.logf("%s %v, children %v, stale %d", h.label, h.State(), children, h.Stale())
	}
	for _, n := range p.nodes {
		var spis []string
		for spi := range n.backend {
			spis = append(spis, fmt.Sprintf("%08x", spi))
		}
		slices.Sort(spis)
		p.logf("%s backend %v, calls held %d", n.name, spis, len(n.held))
		if len(n.reserved) > 0 {
			p.logf("%s has %d SPIs without a child", n.name, len(n.reserved))
		}
	}
	p.logf("packets in flight %d", len(p.flight))
}
