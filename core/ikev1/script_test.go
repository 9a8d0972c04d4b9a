package ikev1

import (
	"encoding/hex"
	"flag"
	"fmt"
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
	"github.com/parley-ike/parley/core/wire/wire1"
)

var update = flag.Bool("update", false, "write what happens into the scripts in testdata")

// TestScripts plays the dialogues in testdata, in the language of core/ikev2: a script is a sequence of commands, each followed by a
// line "----" and the full trace of what the command caused, up to an empty line. Lines that begin with # are comments. With -update
// the traces are written anew; review the difference as code.
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
	p.renews = true
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
		for p.answerCalls() {
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
		"up":        func() { p.initiate("a", w[1:]); p.run(); p.trace = nil }, // a1 and b1, as in main.txt
		"phase1":    p.phase1,
		"deliver":   func() { p.deliver(p.index(arg(1))) },
		"drop":      func() { i := p.index(arg(1)); p.flight = slices.Delete(p.flight, i, i+1) },
		"dup":       func() { p.arrive(p.flight[p.index(arg(1))]) },
		"tamper":    func() { p.tamper(p.index(arg(1))) },
		"mangle":    func() { p.mangle(p.index(arg(1)), arg(2)) },
		"advance":   func() { p.advance(p.duration(arg(1))) },
		"wait":      func() { p.pass(p.duration(arg(1)), func() {}) },
		"terminate": func() { p.step(p.sa(arg(1)), machine.Terminate{Child: arg(2), Reason: "the test says so"}) },
		"probe":     func() { p.step(p.sa(arg(1)), machine.Probe{}) },
		"rekey":     func() { p.step(p.sa(arg(1)), machine.Rekey{Child: arg(2)}) },
		"more":      func() { p.step(p.sa(arg(1)), machine.Initiate{Children: w[2:]}) },
		"lost":      func() { p.step(p.sa(arg(1)), machine.ChildLost{SPIIn: p.spi(arg(2))}) },
		"expired": func() {
			p.step(p.sa(arg(1)), machine.ChildExpired{SPIIn: p.spi(arg(2)), Hard: arg(3) == "hard", Cause: "bytes"})
		},
		"seen": func() {
			p.step(p.sa(arg(1)), machine.ChildMoved{SPIIn: p.spi(arg(2)), Remote: netip.MustParseAddrPort(arg(3))})
		},
		"traffic":     func() { p.node(arg(1)).packets[p.spi(arg(2))]++ },
		"hold":        func() { p.node(arg(1)).hold[arg(2)] = true },
		"release":     func() { delete(p.node(arg(1)).hold, arg(2)) },
		"fail":        func() { p.fail(p.node(arg(1)), arg(2), arg(3), arg(4)) },
		"forge":       func() { p.forge(p.sa(arg(1)), w[2:]) },
		"seal":        func() { p.sealed(p.sa(arg(1)), 0, w[2:]) },
		"mishash":     func() { p.sealed(p.sa(arg(1)), 1, w[2:]) },
		"commit":      func() { p.commit(p.index(arg(1))) },
		"connected":   func() { p.connected(p.sa(arg(1)), arg(2)) },
		"newgroup":    func() { p.newGroup(p.sa(arg(1))) },
		"transact":    func() { p.transact(p.sa(arg(1)), 0, w[2:]) },
		"mistransact": func() { p.transact(p.sa(arg(1)), 1, w[2:]) },
		"moveto":      func() { p.node(arg(1)).nat = netip.MustParseAddr(arg(2)) },
		"dead":        func() { p.node(arg(1)).addr = netip.MustParseAddr("203.0.113.99") },
		"strip":       func() { p.strip(p.index(arg(1)), arg(2)) },
		"early":       func() { p.early(p.sa(arg(1))) },
		"state":       p.state,
	}
	run, ok := commands[w[0]]
	if !ok {
		p.t.Fatalf("unknown command %q", w)
	}
	run()
}

// phase1 makes a1 and b1, as in main.txt, and leaves the first message of quick mode in flight.
func (p *player) phase1() {
	p.t.Helper()
	p.initiate("a", nil)
	for range 100 {
		if p.sa("a1").State() == Established {
			break
		}
		if !p.answerCalls() {
			p.deliverNext()
		}
	}
	for p.answerCalls() {
	}
	p.trace = nil
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

func (p *player) spi(hex string) uint32 {
	p.t.Helper()
	spi, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		p.t.Fatal(err)
	}
	return uint32(spi)
}

// tamper changes an octet of a packet in flight, behind its header.
func (p *player) tamper(i int) {
	b := slices.Clone(p.flight[i].Bytes)
	b[wire.HeaderLen+8] ^= 1
	p.flight[i].Bytes = b
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
	p.makeNode("a", "192.0.2.1", "east.example", "west.example", "10.1.0.0/16", "10.2.0.0/16", opt)
	p.makeNode("b", "192.0.2.2", "west.example", "east.example", "10.2.0.0/16", "10.1.0.0/16", opt)
	for i, name := range strings.FieldsFunc(opt["more"], func(r rune) bool { return r == ',' }) { // more children: more=dmz,lab
		p.addChild("a", name, fmt.Sprintf("10.%d.0.0/16", 11+2*i), fmt.Sprintf("10.%d.0.0/16", 12+2*i))
		p.addChild("b", name, fmt.Sprintf("10.%d.0.0/16", 12+2*i), fmt.Sprintf("10.%d.0.0/16", 11+2*i))
	}
}

func (p *player) addChild(node, name, local, remote string) {
	p.t.Helper()
	n := p.node(node)
	n.conn.Children = append(n.conn.Children, &policy.Child{Name: name, LocalTS: p.selectors(local), RemoteTS: p.selectors(remote),
		ESP: n.conn.Children[0].ESP, Backend: "other", Lifetime: n.conn.Children[0].Lifetime})
}

func (p *player) makeNode(name, local, localID, remoteID, localTS, remoteTS string, opt map[string]string) {
	p.t.Helper()
	get := func(key, or string) string {
		if v, ok := opt[name+"."+key]; ok {
			return v
		}
		if v, ok := opt[key]; ok {
			return v
		}
		return or
	}
	conn := &policy.Connection{
		Name: "to-" + remoteID, Version: 1,
		Local:  policy.Endpoint{Addr: netip.MustParseAddr(local), Identity: p.identity(get("local-id", localID)), Auth: get("local-auth", get("auth", "psk")), Users: list(get("local-user", ""))},
		Remote: policy.Endpoint{Identity: p.identity(get("remote-id", remoteID)), Auth: get("remote-auth", get("auth", "psk")), Users: list(get("remote-user", ""))},
		IKE:    p.proposals(policy.ScopeIKE, get("ike", "aes256-sha256-modp2048")),
		Children: []*policy.Child{{Name: "lan", LocalTS: p.selectors(get("local-ts", localTS)), RemoteTS: p.selectors(get("remote-ts", remoteTS)),
			ESP: p.proposals(policy.ScopeESP, get("esp", "aes128-sha256")), Backend: "fake"}},
		Retransmit: policy.Retransmit{Initial: time.Second, Factor: 2, Max: 8 * time.Second, Tries: 3},
		CallBudget: 2 * time.Second, HalfOpen: 30 * time.Second, ForceEncap: get("encap", "") != "",
		RSADeviation: map[string]policy.RSADeviation{"cisco": policy.CiscoRSA, "huawei": policy.HuaweiRSA}[get("deviation", "")],
		Aggressive:   get("aggressive", "") != "", AllowAggressivePSK: get("allow", "") != "",
	}
	conn.Remote.Prefixes = []netip.Prefix{netip.MustParsePrefix(get("from", "0.0.0.0/0"))}
	if get("mode", "") == "transport" {
		conn.Children[0].Mode = policy.Transport
	}
	pools := p.makeAddresses(conn, get)
	conn.ApplyDefaults()
	if get("unique", "") == "never" {
		conn.Unique = policy.UniqueNever
	}
	conn.FragmentSize, _ = strconv.Atoi(get("fragments", "1280"))
	conn.Liveness = p.duration(get("liveness", "0s"))
	conn.Lifetime.Time = p.duration(get("lifetime", "8h"))
	conn.Children[0].Lifetime.Time = p.duration(get("child-lifetime", "1h"))
	conn.Children[0].Lifetime.Bytes, _ = strconv.ParseUint(get("child-bytes", "0"), 10, 64)
	if get("replay", "") == "off" {
		conn.Children[0].ReplayWindow = 0
	}
	n := p.addNode(name, conn, map[string]string{get("psk-for", ""): get("psk", "secret")})
	n.passwords, n.own = get("passwords", ""), get("own", "")
	n.pools = pools
	if v := get("nat", ""); v != "" && strings.Contains(strings.Join(keysOf(opt), " "), name+".nat") {
		n.nat = netip.MustParseAddr(v)
		if name == "a" { // a masquerading NAT; that of b forwards ports
			n.shift = 10000
		}
	}
}

func list(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }

func keysOf(opt map[string]string) (list []string) {
	for k := range opt {
		list = append(list, k)
	}
	return list
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

func (p *player) fail(n *node, op, kind, times string) {
	kinds := map[string]machine.ErrorKind{"unavailable": machine.Unavailable, "refused": machine.Refused, "invalid": machine.Invalid,
		"internal": machine.Internal, "overloaded": machine.Overloaded, "unsupported": machine.Unsupported}
	count, err := strconv.Atoi(times)
	if err != nil {
		count = 1
	}
	n.faults = append(n.faults, fault{op, machine.CallError{Kind: kinds[kind], Text: "fake: as the test wants"}, count})
}

// forge sends an SA a notify in clear, as anyone can who has seen its cookies.
func (p *player) forge(to *host, w []string) {
	p.t.Helper()
	h := wire.Header{InitiatorSPI: to.cookieI, ResponderSPI: to.cookieR, Major: 1, Exchange: wire1.Informational}
	b := wire1.Message{Header: h, Payloads: []wire1.Payload{p.payload(to, w[0])}}.Append(nil)
	p.step(to, machine.Datagram{Local: to.local, Remote: to.remote, Bytes: b})
}

// newGroup has an SA ask for a private group, which it would not do by itself.
func (p *player) newGroup(from *host) {
	p.t.Helper()
	x := &exchange{kind: wire1.NewGroupMode, id: 0x20000}
	x.iv = from.exchangeIV(x.id)
	b := from.seal(x, from.hashed(x.id, []wire1.Payload{policy.OfferPhase1(from.conn.IKE, wire1.AuthPSK, 0)}))
	p.arrive(datagram{from: from, Send: machine.Send{Local: from.local, Remote: from.remote, Bytes: b}})
}

// commit sets the commit bit of a packet in flight.
func (p *player) commit(i int) {
	b := slices.Clone(p.flight[i].Bytes)
	b[19] |= byte(wire1.FlagCommit)
	p.flight[i].Bytes = b
}

// connected has an SA say CONNECTED under the message ID of a quick mode, as peers do that set the commit bit.
func (p *player) connected(from *host, id string) {
	p.t.Helper()
	x := &exchange{kind: wire1.Informational, id: p.spi(id)}
	x.iv = from.exchangeIV(x.id)
	b := from.seal(x, from.hashed(x.id, []wire1.Payload{from.notify(wire1.Connected)}))
	p.arrive(datagram{from: from, Send: machine.Send{Local: from.local, Remote: from.remote, Bytes: b}})
}

// sealed has an SA send a protected message that it would not send by itself, with a hash for another message ID if off is not zero.
func (p *player) sealed(from *host, off uint32, w []string) {
	p.t.Helper()
	var ps []wire1.Payload
	for _, word := range w {
		ps = append(ps, p.payload(from, word))
	}
	x := &exchange{kind: wire1.Informational, id: 0x10000 + uint32(len(p.journal))}
	x.iv = from.exchangeIV(x.id)
	send := machine.Send{Local: from.local, Remote: from.remote, Bytes: from.seal(x, from.hashed(x.id+off, ps))}
	p.logf("%s forges %s", from.label, from.renderSend(send))
	p.arrive(datagram{from: from, Send: send})
}

func (p *player) payload(h *host, word string) wire1.Payload {
	p.t.Helper()
	kind, value, _ := strings.Cut(word, ":")
	name, data, _ := strings.Cut(value, "=")
	switch kind {
	case "notify":
		n := h.notify(p.notify(name))
		n.Data = p.hex(data)
		return n
	case "about": // a notify about a child: about:SPI=NAME
		return wire1.Notify{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoESP, SPI: p.hex(name), Kind: p.notify(data)}
	case "delete":
		return wire1.Delete{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoESP, SPISize: 4, SPIs: [][]byte{p.hex(value)}}
	case "delete-isakmp":
		return wire1.Delete{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoISAKMP, SPISize: 16, SPIs: [][]byte{h.cookies()}}
	}
	p.t.Fatalf("no payload %q", word)
	return nil
}

func (p *player) notify(name string) wire1.NotifyType {
	p.t.Helper()
	for k := range 50000 {
		if t := wire1.NotifyType(k); t.String() == name {
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

// state shows what there is.
func (p *player) state() {
	for _, h := range p.all() {
		var names []string
		for _, c := range h.Info().Children {
			names = append(names, c.Name+" "+c.SPIIn)
		}
		p.logf("%s %v, children %v, stale %d", h.label, h.State(), names, h.Stale())
	}
	for _, n := range p.nodes {
		var spis []string
		for spi, c := range n.backend {
			text := fmt.Sprintf("%08x", spi)
			if c.Held {
				text += " held"
			}
			spis = append(spis, text)
		}
		slices.Sort(spis)
		p.logf("%s backend %v, calls held %d", n.name, spis, len(n.held))
		if n.pools != nil {
			p.logf("%s gave %v", n.name, n.leases())
		}
	}
	p.logf("packets in flight %d", len(p.flight))
}
