package protocol

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// services are what the daemon protects: three selectors with ports, protocols and ICMP types.
func services(c *Connection) {
	c.Selectors = []string{DaemonTS + "[tcp/80]", DaemonTS + "[udp/5000-5010]", DaemonTS + "[icmp/8]", DaemonTS + "[47]"}
}

// Traffic selectors and what else is agreed on with a child (RFC 7296 sections 1.3.1, 2.9, 2.22, 3.13).
var selectorCases = []Case{
	{IDs: ids("RFC7296-2.9-2", "RFC7296-2.9-3"), Title: "Of several selectors with ports, protocols and ICMP types, a peer that asks for everything gets them all, and one that asks for some gets those.", Run: severalSelectors, Tune: services},
	{IDs: ids("RFC7296-2.9-2", "RFC7296-2.9-3"), Title: "A protocol, a port or an ICMP type that the daemon does not protect gets TS_UNACCEPTABLE.", Run: foreignServices, Tune: services},
	{IDs: ids("RFC7296-3.13.1-1", "RFC7296-2.9-2"), Title: "The daemon's offer has all its selectors, with the ports and ICMP types that RFC 7296 wants.", Run: offersServices, Tune: services},
	{IDs: ids("RFC7296-2.21.2-2", "RFC7296-3.10.1-3"), Title: "Selectors that end before they begin, of unknown types, of none or too short are refused or passed over, and do no harm.", Run: oddSelectors},
	{IDs: ids("RFC7296-2.9-2", "RFC7296-2.9-3"), Title: "Two hundred and fifty-five selectors in each payload are answered by some of them.", Run: manySelectors},
	{IDs: ids("RFC7296-3.10.1-2"), Title: "ESP_TFC_PADDING_NOT_SUPPORTED and NON_FIRST_FRAGMENTS_ALSO in a request harm nothing; what the daemon does not do is not echoed.", Run: childNotifies},
	{IDs: ids("RFC7296-2.22-1"), Title: "IPComp is declined in CREATE_CHILD_SA, too, and cut or unknown IPCOMP_SUPPORTED notifies harm nothing.", Run: oddIPComp},
}

// service is a selector in the daemon's network.
func service(protocol uint8, from, to uint16) peer.Selector {
	s := peer.Net(DaemonTS)
	s.Protocol, s.StartPort, s.EndPort = protocol, from, to
	return s
}

func severalSelectors(t *T) {
	ours, all := []peer.Selector{peer.Net(t.PeerTS)}, []peer.Selector{peer.Net("0.0.0.0/0")}
	web, media, ping, gre := service(6, 80, 80), service(17, 5000, 5010), service(1, 0x0800, 0x08ff), service(47, 0, 65535)
	t.narrowed(ours, all, web, media, ping, gre)
	t.narrowed(ours, []peer.Selector{service(17, 4000, 5005)}, service(17, 5000, 5005))
	t.narrowed(ours, []peer.Selector{service(1, 0, 65535), service(6, 0, 1023)}, ping, web)
	t.narrowed(ours, []peer.Selector{service(1, 0x0800, 0x0800)}, service(1, 0x0800, 0x0800))
}

func foreignServices(t *T) {
	for _, s := range []peer.Selector{service(6, 81, 443), service(17, 80, 80), service(1, 0x0000, 0x00ff), service(50, 0, 65535), service(58, 0x0800, 0x08ff)} {
		sa := t.begin()
		child := sa.child()
		child[2] = peer.TSPayload(peer.TypeTSr, s)
		sa.childless(child, peer.TSUnacceptable)
	}
}

func offersServices(t *T) {
	_, auth := t.greeted()
	got, want := must(peer.ParseTS(auth.Body(peer.TypeTSi))), []peer.Selector{service(6, 80, 80), service(17, 5000, 5010), service(1, 0x0800, 0x08ff), service(47, 0, 65535)}
	if !sameSelectors(got, want) {
		t.Errorf("TSi is %v, want %v", got, want)
	}
}

// oddTS are bodies of TS payloads that no right peer sends.
func oddTS() [][]byte {
	backward := peer.Net(DaemonTS)
	backward.Start, backward.End = backward.End, backward.Start
	ports := service(6, 443, 80)
	stray := service(0, 80, 80) // ports of no protocol
	good := peer.TSPayload(peer.TypeTSr, peer.Net(DaemonTS)).Body
	unknown := slices.Clone(good)
	unknown[4] = 99
	return [][]byte{
		peer.TSPayload(peer.TypeTSr, backward).Body, peer.TSPayload(peer.TypeTSr, ports).Body, peer.TSPayload(peer.TypeTSr, stray).Body, unknown,
		{0, 0, 0, 0}, {1, 0, 0, 0}, good[:len(good)-1], append(slices.Clone(good), 0), {1, 0, 0, 0, 7, 0, 0, 8, 0, 0, 255, 255},
		{1, 0, 0, 0, 8, 0, 0, 16, 0, 0, 255, 255, 10, 1, 0, 0, 10, 1, 255, 255},
	}
}

func oddSelectors(t *T) {
	for _, body := range oddTS() {
		sa := t.begin()
		child := sa.child()
		child[2] = peer.Payload{Type: peer.TypeTSr, Body: body}
		answer := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
		if errs := answer.Errors(); len(errs) > 1 || len(errs) == 1 && errs[0] != peer.InvalidSyntax && errs[0] != peer.TSUnacceptable {
			t.Errorf("TSr %x is answered by %v", body, answer)
		}
		t.daemonForgets(sa)
	}
}

func manySelectors(t *T) {
	many := func(base string) (list []peer.Selector) {
		a := netip.MustParseAddr(base)
		for range 255 {
			list = append(list, peer.Net(a.String()+"/32"))
			a = a.Next().Next()
		}
		return list
	}
	sa := t.begin()
	child := sa.child()
	child[1] = peer.TSPayload(peer.TypeTSi, append(many("192.0.2.0")[1:], peer.Net(t.PeerTS))...)
	child[2] = peer.TSPayload(peer.TypeTSr, many("10.1.0.0")...)
	answer := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.admitted(answer)
	for _, s := range must(peer.ParseTS(answer.Body(peer.TypeTSr))) {
		if s.Start != s.End || !netip.MustParsePrefix(DaemonTS).Contains(s.Start) {
			t.Errorf("TSr has %v", s)
		}
	}
	sa.alive()
}

func childNotifies(t *T) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.ESPTFCPaddingNotSupported), peer.NotifyPayload(peer.NonFirstFragmentsAlso))
	answer := sa.ask(m)
	sa.admitted(answer)
	if _, also := answer.Notify(peer.NonFirstFragmentsAlso); also {
		t.Errorf("NON_FIRST_FRAGMENTS_ALSO is echoed: %v", answer)
	}
	o := sa.offers(0)
	ps := append(o.payloads(), peer.NotifyPayload(peer.ESPTFCPaddingNotSupported, 1, 2, 3), peer.Notify{Protocol: peer.ProtoESP, SPI: o.spi, Kind: peer.NonFirstFragmentsAlso}.Payload())
	o.made(sa.ask(sa.Request(peer.CreateChildSA, ps...)))
	t.counts(1, 2)
}

func oddIPComp(t *T) {
	sa := t.up()
	for _, data := range [][]byte{{0, 1, 2}, {0, 1}, nil, {0, 1, 200}, peer.Random(300)} {
		o := sa.offers(0)
		answer := sa.ask(sa.Request(peer.CreateChildSA, append(o.payloads(), peer.NotifyPayload(peer.IPCompSupported, data...))...))
		if _, accepted := answer.Notify(peer.IPCompSupported); accepted {
			t.Errorf("IPComp %x is accepted: %v", data, answer)
		}
		o.made(answer)
		sa.deleted2(o)
	}
	if m := sa.inform(peer.NotifyPayload(peer.IPCompSupported, 0, 1, 2)); len(m.Payloads) != 0 { // without SA it means nothing
		t.Errorf("the answer is %v", m)
	}
	t.counts(1, 1)
}
