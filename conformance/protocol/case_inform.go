package protocol

import (
	"math/rand/v2"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// INFORMATIONAL, deletes and errors (RFC 7296 sections 1.4, 1.5, 2.4, 2.21, 3.10, 3.11).
var informCases = []Case{
	{IDs: ids("RFC7296-1.4-4", "RFC7296-4-4"), Title: "An empty INFORMATIONAL request gets an empty response, on an SA of either side.", Run: emptyInformational},
	{IDs: ids("RFC7296-1.4-1"), Title: "A Delete in clear does nothing and gets no answer.", Run: deleteInClear},
	{IDs: ids("RFC7296-3.14-7", "RFC7296-1.4-1"), Title: "A Delete with a wrong checksum, with other keys or reflected does nothing and gets no answer.", Run: deleteForged},
	{IDs: ids("RFC7296-1.4.1-1", "RFC7296-1.4.1-2", "RFC7296-1.4.1-3", "RFC7296-3.11-1", "RFC7296-3.11-2", "RFC7296-3.11-3"),
		Title: "A Delete of our half of a child ends it; the response deletes the daemon's half.", Run: deleteChild},
	{IDs: ids("RFC7296-2.25.1-6"), Title: "A Delete of an unknown child gets a response without Delete, and changes nothing.", Run: deleteUnknown},
	{IDs: ids("RFC7296-1.4.1-3"), Title: "A Delete of a child with SPIs of others, and the same twice, ends that child.", Run: deleteMany},
	{IDs: ids("RFC7296-1.4.1-3", "RFC7296-2.25.1-6"), Title: "A Delete of a thousand SPIs, ours among them, ends that child; one of sixteen thousand does no harm.", Run: deleteThousands},
	{IDs: ids("RFC7296-1.4.1-1", "RFC7296-1.4.1-3"), Title: "A Delete of the IKE SA gets an empty response and ends all.", Run: deleteIKE},
	{IDs: ids("RFC7296-1.4-2", "RFC7296-1.4-3", "RFC7296-2.4-8", "RFC7296-1.4.1-2", "RFC7296-3.11-3"),
		Title: "A child that the daemon takes down is deleted under its IKE SA, by the SPI that the daemon receives on.", Run: daemonDeletesChild},
	{IDs: ids("RFC7296-2.4-9", "RFC7296-1.4-2", "RFC7296-3.11-3"), Title: "An IKE SA that the daemon takes down is deleted under itself.", Run: daemonDeletesIKE},
	{IDs: ids("RFC7296-1.4.1-4", "RFC7296-1.4.1-5", "RFC7296-2.25.1-4", "RFC7296-2.3-3"),
		Title: "When Deletes of one child cross, the response to ours has no Delete, and the child ends.", Run: crossingChildDeletes},
	{IDs: ids("RFC7296-2.25.2-4"), Title: "When Deletes of the IKE SA cross, ours gets an empty response, and the SA ends.", Run: crossingIKEDeletes},
	{IDs: ids("RFC7296-2.21.3-1", "RFC7296-3.10.1-3"), Title: "A malformed protected request gets INVALID_SYNTAX.", Run: malformedInformational},
	{IDs: ids("RFC7296-2.21.3-1"), Title: "A protected request of an unknown exchange type gets an error, or no answer, and no crash.", Run: unknownExchange},
	{IDs: ids("RFC7296-2.21.3-1", "RFC7296-2.21.2-2"), Title: "Sixty authentic IKE_AUTH and CREATE_CHILD_SA requests with random changes inside do not disturb the next.", Run: mangled},
	{IDs: ids("RFC7296-3.10.1-2", "RFC7296-3.12-2"), Title: "Unknown errors and statuses in a request are ignored.", Run: unknownNotifies},
	{IDs: ids("RFC7296-3.10-2"), Title: "The Protocol ID of a notify without SPI is ignored.", Run: notifyProtocol},
	{IDs: ids("RFC7296-2.21.4-2", "RFC7296-2.21.4-3"), Title: "A request for an unknown IKE SA gets INVALID_IKE_SPI in clear, with its SPIs and message ID.", Run: unknownSPI},
	{IDs: ids("RFC7296-2.21.4-1", "RFC7296-2.4-5"), Title: "A hundred requests for unknown IKE SAs get a hundred answers at most, each shorter than the request.", Run: unknownSPIFlood},
	{IDs: ids("RFC7296-1.5-1", "RFC7296-2.21.4-4", "RFC7296-2.21.4-8", "RFC7296-2.4-3"),
		Title: "INVALID_IKE_SPI and INVALID_SPI in clear get no answer and change nothing.", Run: clearNotifies},
	{IDs: ids("RFC7296-2.4-3"), Title: "ICMP port unreachable does not end an SA on which the daemon has asked something.", Run: icmpUnreachable,
		Settings: Settings{Retransmit: hundred, Tries: 8}},
}

func emptyInformational(t *T) {
	sa := t.up()
	sa.alive()
	sa.alive()
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	sa = t.upByDaemon()
	sa.alive()
}

func deleteInClear(t *T) {
	sa := t.up()
	for _, ps := range [][]peer.Payload{{peer.DeletePayload(peer.ProtoIKE)}, {peer.DeletePayload(peer.ProtoESP, sa.in)}, nil} {
		m := sa.Request(peer.Informational, ps...)
		sa.Own--
		sa.ignores(m.Encode())
	}
	t.counts(1, 1)
}

func deleteForged(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.Own--
	t.send(sa.way, sa.Seal(m, peer.Oddities{Forge: true}))
	other := *sa.SA
	other.Keys.Ei, other.Keys.Ai = other.Keys.Er, other.Keys.Ar
	t.send(sa.way, other.Seal(m, peer.Oddities{}))
	m.Flags = 0 // as if the daemon had sent it
	t.send(sa.way, other.Seal(m, peer.Oddities{}))
	t.send(sa.way, sa.seal(m))
	for { // with these flags our SPI is one that the daemon should have chosen
		d, ok := t.receive(silence, anyDatagram)
		if !ok {
			break
		}
		t.only(t.decode(d), peer.InvalidIKESPI)
	}
	sa.alive()
	t.counts(1, 1)
}

func deleteChild(t *T) {
	sa := t.up()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.counts(1, 0)
	sa.alive()
}

func deleteUnknown(t *T) {
	sa := t.up()
	for _, spis := range [][][]byte{{peer.SPI()}, {sa.out}, {{0, 0, 0, 0}}} {
		if m := sa.inform(peer.DeletePayload(peer.ProtoESP, spis...)); len(m.Payloads) != 0 {
			t.Errorf("Delete of %x is answered %v", spis, m)
		}
	}
	if m := sa.inform(peer.DeletePayload(peer.ProtoAH, sa.in)); len(m.Payloads) != 0 {
		t.Errorf("Delete of an AH SA is answered %v", m)
	}
	t.counts(1, 1)
}

func deleteMany(t *T) {
	sa := t.up()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, peer.SPI(), sa.in, peer.SPI(), sa.in), peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.counts(1, 0)
}

func deleteIKE(t *T) {
	sa := t.up()
	if m := sa.inform(peer.DeletePayload(peer.ProtoIKE)); len(m.Payloads) != 0 {
		t.Errorf("the answer is %v", m)
	}
	t.counts(0, 0)
	sa.gone()
}

func daemonDeletesChild(t *T) {
	sa := t.up()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	sa.deleted(m)
	sa.answer(m, peer.DeletePayload(peer.ProtoESP, sa.in))
	t.counts(1, 0)
	sa.alive()
}

func daemonDeletesIKE(t *T) {
	sa := t.up()
	t.order(Down)
	m := sa.request(peer.Informational)
	if spis, any := m.Deletes(peer.ProtoIKE); !any || len(spis) != 0 || len(m.Payloads) != 1 {
		t.Fatalf("want a Delete of the IKE SA alone: %v", m)
	}
	sa.answer(m)
	t.counts(0, 0)
	sa.gone()
}

func crossingChildDeletes(t *T) {
	sa := t.up()
	t.order(DownChild)
	theirs := sa.request(peer.Informational)
	sa.deleted(theirs)
	if m := sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)); len(m.Payloads) != 0 {
		t.Errorf("the answer to a crossing Delete is %v", m)
	}
	sa.answer(theirs)
	t.counts(1, 0)
	sa.alive()
}

func crossingIKEDeletes(t *T) {
	sa := t.up()
	t.order(Down)
	theirs := sa.request(peer.Informational)
	if m := sa.inform(peer.DeletePayload(peer.ProtoIKE)); len(m.Payloads) != 0 {
		t.Errorf("the answer to a crossing Delete is %v", m)
	}
	sa.answer(theirs)
	t.counts(0, 0)
}

func malformedInformational(t *T) {
	for _, odd := range []peer.Oddities{
		{Inner: []byte{0, 0, 0, 3, 1}, InnerFirst: one(peer.TypeNotify)},                       // shorter than its header
		{Inner: []byte{0, 0, 1, 0, 1}, InnerFirst: one(peer.TypeNotify)},                       // longer than the message
		{Inner: []byte{0, 0, 0, 8, 0, 4, 64, 0}, InnerFirst: one(peer.TypeNotify)},             // an SPI that is not there
		{Inner: []byte{0, 0, 0, 8, 3, 4, 0, 9}, InnerFirst: one(peer.TypeDelete)},              // nine SPIs that are not there
		{Inner: []byte{0, 0, 0, 8, 3, 8, 0, 0}, InnerFirst: one(peer.TypeDelete)},              // ESP SPIs of eight octets
		{Inner: []byte{0, 0, 0, 12, 1, 4, 0, 1, 1, 2, 3, 4}, InnerFirst: one(peer.TypeDelete)}, // an IKE SA by an SPI
		{Inner: []byte{}, InnerFirst: one(peer.TypeDelete)},                                    // a payload that is not there
		{Inner: []byte{1, 2, 3, 4}}, // octets that are no payload
	} {
		sa := t.up()
		m := sa.Request(peer.Informational)
		t.send(sa.way, sa.Seal(m, odd))
		t.only(sa.response(m), peer.InvalidSyntax)
		t.forget()
		t.daemonForgets(sa)
	}
}

// daemonForgets makes sure that no SA is left, though the daemon may have kept it.
func (t *T) daemonForgets(sa *SA) {
	if ike, _, _ := t.daemon.Count(t.context(), t.Name); ike > 0 {
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
	t.counts(0, 0)
}

func one(v uint8) *uint8 { return &v }

func unknownExchange(t *T) {
	sa := t.up()
	sa.push(sa.Request(100))
	if d, ok := t.receive(silence, anyDatagram); ok {
		if m, _ := sa.open(d); len(m.Errors()) != 1 {
			t.Errorf("the answer is %v", m)
		}
	}
	fresh := t.up()
	fresh.alive()
}

func unknownNotifies(t *T) {
	sa := t.up()
	m := sa.inform(peer.NotifyPayload(8000), peer.NotifyPayload(16300, 1), peer.NotifyPayload(48000, 1, 2), peer.NotifyPayload(65535),
		peer.Notify{Protocol: peer.ProtoESP, SPI: sa.in, Kind: 39999}.Payload(), peer.Payload{Type: peer.TypeVendor, Body: []byte("x")})
	if len(m.Payloads) != 0 {
		t.Errorf("the answer is %v", m)
	}
	sa.alive()
	t.counts(1, 1)
}

func notifyProtocol(t *T) {
	sa := t.up()
	for _, protocol := range []uint8{peer.ProtoIKE, peer.ProtoAH, peer.ProtoESP, 77} {
		if m := sa.inform(peer.Notify{Protocol: protocol, Kind: 40000}.Payload()); len(m.Payloads) != 0 {
			t.Errorf("protocol %d is answered %v", protocol, m)
		}
	}
}

func unknownSPI(t *T) {
	sa := t.newSA(usual)
	sa.SPIr, sa.Own = peer.SPI64(), 7
	sa.Nr = peer.Random(32)
	sa.Agreed(peer.Random(32))
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	t.send(sa.way, sa.seal(m))
	d, answer := t.clear(sa.SPIi)
	sa.responds(d, answer, m)
	if answer.SPIr != sa.SPIr {
		t.Errorf("the responder's SPI is %x, want %x", answer.SPIr, sa.SPIr)
	}
	t.only(answer, peer.InvalidIKESPI)
}

func unknownSPIFlood(t *T) {
	sa := t.newSA(usual)
	sa.Nr = peer.Random(32)
	sa.Agreed(peer.Random(32))
	const n = 100
	length := 0
	for range n {
		sa.SPIi, sa.SPIr = peer.SPI64(), peer.SPI64()
		b := sa.seal(sa.Request(peer.Informational))
		length = len(b)
		t.send(sa.way, b)
	}
	answers := 0
	for {
		d, ok := t.receive(silence, anyDatagram)
		if !ok {
			break
		}
		if answers++; len(d.Bytes) > length {
			t.Errorf("%d octets answer %d", len(d.Bytes), length)
		}
	}
	if answers > n {
		t.Errorf("%d answers to %d requests", answers, n)
	}
}

func clearNotifies(t *T) {
	sa := t.up()
	for _, kind := range []uint16{peer.InvalidIKESPI, peer.InvalidSPI, peer.InvalidSyntax, peer.InvalidMajorVersion, peer.AuthenticationFailed} {
		for _, flags := range []uint8{0, peer.FlagResponse, peer.FlagInitiator, peer.FlagInitiator | peer.FlagResponse} {
			m := peer.Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: peer.Informational, Flags: flags, ID: sa.Own,
				Payloads: []peer.Payload{peer.NotifyPayload(kind, sa.out...)}}
			t.send(sa.way, m.Encode())
			m.SPIi, m.SPIr = peer.SPI64(), 0
			t.send(sa.way, m.Encode())
			m.SPIi, m.SPIr, m.ID = 0, 0, 0 // as RFC 7296 section 1.5 has it for INVALID_SPI
			t.send(sa.way, m.Encode())
		}
	}
	sa.alive()
	t.counts(1, 1)
}

func icmpUnreachable(t *T) {
	sa := t.up()
	port := sa.way.from
	port.Close() // now the kernel says what it says to datagrams for a closed port
	t.order(DownChild)
	pause(3 * hundred)
	t.listen(port.Addr())
	sa.way = t.path(peer.PortIKE)
	m := sa.request(peer.Informational)
	sa.deleted(m)
	sa.answer(m)
	t.counts(1, 0)
	t.forget()
	sa.alive()
}

func mangled(t *T) {
	r := rand.New(rand.NewPCG(7296, 2))
	mangle := func(m peer.Message) peer.Oddities {
		inner, first := m.Inner()
		inner = slices.Clone(inner)
		for range 1 + r.IntN(3) {
			inner[r.IntN(len(inner))] = byte(r.Uint32())
		}
		return peer.Oddities{Inner: inner, InnerFirst: &first}
	}
	for i := range 60 {
		sa := t.begin()
		m := sa.claim()
		if i%2 == 1 {
			sa.admitted(sa.ask(m))
			m = sa.Request(peer.CreateChildSA, sa.offers(0).payloads()...)
		}
		t.send(sa.way, sa.Seal(m, mangle(m)))
		if _, ok := t.receive(silence/8, sa.ours); ok {
			t.send(sa.way, sa.seal(sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))))
		}
	}
	pause(silence)
	t.forget()
	sa := t.begin()
	sa.admitted(sa.ask(sa.claim()))
	sa.alive()
}

func deleteThousands(t *T) {
	spis := func(n int) (list [][]byte) {
		for range n {
			list = append(list, peer.SPI())
		}
		return list
	}
	sa := t.up()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, append(spis(999), sa.in)...)))
	t.counts(1, 0)
	if m := sa.inform(peer.DeletePayload(peer.ProtoESP, spis(16000)...)); len(m.Payloads) != 0 {
		t.only(m, peer.InvalidSyntax) // it may have its limit
	}
	t.daemonForgets(sa)
}
