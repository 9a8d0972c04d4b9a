package protocol

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// hundred is a first pause between retransmissions at which a case need not wait long.
const hundred = 100 * time.Millisecond

// hasty makes the daemon repeat what is not answered after 100 ms, 200 ms, 400 ms, and give up after 800 ms more.
var hasty = Settings{Retransmit: hundred, Tries: 3}

// leisurely makes pauses that can be told from each other on a busy machine.
var leisurely = Settings{Retransmit: 4 * hundred, Tries: 2}

// Retransmission, message IDs and windows (RFC 7296 sections 2.1, 2.2, 2.3, 2.4).
var windowCases = []Case{
	{IDs: ids("RFC7296-2.1-1"), Title: "A response is not sent again by itself.", Run: responseOnce, Settings: hasty},
	{IDs: ids("RFC7296-2.1-1", "RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "A repeated request gets the same octets and does nothing again.", Run: repeatedRequest},
	{IDs: ids("RFC7296-2.1-4"), Title: "The last response is remembered until the next request.", Run: rememberedResponse},
	{IDs: ids("RFC7296-2.1-5"), Title: "A repeated request whose response is forgotten gets no answer.", Run: forgottenResponse},
	{IDs: ids("RFC7296-2.1-2"), Title: "Other octets under the message ID of an answered request do nothing.", Run: changedRequest},
	{IDs: ids("RFC7296-2.3-8", "RFC7296-2.3-9", "RFC7296-2.21.3-1"), Title: "Requests beyond the window are not acknowledged, nor answered with INVALID_MESSAGE_ID; few notices come.", Run: beyondWindow},
	{IDs: ids("RFC7296-2.3-8", "RFC7296-2.1-5"), Title: "Message IDs 0, 2^31 and 2^32-1, and responses to them, do nothing when they are not due.", Run: extremeIDs},
	{IDs: ids("RFC7296-2.3-3", "RFC7296-2.3-2"), Title: "Requests are served while one of the daemon's own is out, which it sends once the window is free.", Run: bothWays},
	{IDs: ids("RFC7296-2.1-3", "RFC7296-2.1-6", "RFC7296-2.1-7", "RFC7296-2.2-1", "RFC7296-2.3-6", "RFC7296-2.4-6"),
		Title: "A request that is not answered is repeated, octet for octet, after pauses that double.", Run: retransmits, Settings: leisurely},
	{IDs: ids("RFC7296-2.1-3", "RFC7296-2.1-6", "RFC7296-2.1-7", "RFC7296-2.2-1"),
		Title: "IKE_SA_INIT and IKE_AUTH requests that are not answered are repeated, octet for octet.", Run: retransmitsInit, Settings: hasty},
	{IDs: ids("RFC7296-2.4-4", "RFC7296-2.1-6"), Title: "A peer that answers nothing is given up after the last repetition, and not before.", Run: givesUp, Settings: hasty},
	{IDs: ids("RFC7296-2.4-4", "RFC7296-2.4-3"), Title: "A peer that has been silent is asked; when it answers, the SA lives.", Run: liveness,
		Settings: Settings{Retransmit: hundred, Tries: 3, Liveness: time.Second}},
	{IDs: ids("RFC7296-2.4-4"), Title: "A silent peer that does not answer when asked is given up.", Run: livenessDead,
		Settings: Settings{Retransmit: hundred, Tries: 3, Liveness: time.Second}},
	{IDs: ids("RFC7296-2.21.4-5", "RFC7296-2.4-5"), Title: "A flood of INVALID_IKE_SPI in clear makes the daemon ask no more than a few times whether we live.", Run: spiFlood,
		Settings: hasty},
	{IDs: ids("RFC7296-2.1-7", "RFC7296-2.21.4-1"), Title: "Responses with another message ID, another exchange, or a wrong checksum do not answer the daemon's request.", Run: wrongResponses, Settings: hasty},
	{IDs: ids("RFC7296-2.3-1", "RFC7296-2.3-7", "RFC7296-2.3-3"), Title: "A daemon that announces a window serves so many requests, in whatever order they come, and repeats each response.", Run: wideWindow,
		Settings: Settings{Window: 4}},
	{IDs: ids("RFC7296-2.1-4", "RFC7296-2.1-5", "RFC7296-2.3-7", "RFC7296-2.3-8"), Title: "It remembers as many responses as its window has, and takes no request beyond it.", Run: edgeOfWindow,
		Settings: Settings{Window: 4}},
	{IDs: ids("RFC7296-2.3-4", "RFC7296-2.3-5"), Title: "To a peer that announced a window of two, the daemon has two requests out at most.", Run: windowOfPeer,
		Settings: Settings{Window: 4, TwoChildren: true}},
	{IDs: ids("RFC7296-2.3-1"), Title: "SET_WINDOW_SIZE from the daemon, if any, holds four octets, and one that is malformed does not make it send more at a time.", Run: windowNotify},
}

// pause waits for time to go by where nothing can be waited for.
func pause(d time.Duration) { time.Sleep(d) }

func responseOnce(t *T) {
	sa := t.up()
	sa.alive()
	pause(5 * hundred)
	t.nothingCame()
}

// same receives the response to a request once more and demands the same octets.
func (sa *SA) same(m peer.Message, want []byte) {
	d, _ := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID })
	if !slices.Equal(d.Bytes, want) {
		sa.t.Fatalf("another response to the same request")
	}
}

// asked sends a request and returns it with the octets of the response.
func (sa *SA) asked(ps ...peer.Payload) (peer.Message, []byte) {
	m := sa.Request(peer.Informational, ps...)
	sa.push(m)
	d, _ := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID })
	return m, d.Bytes
}

func repeatedRequest(t *T) {
	sa := t.up()
	m, first := sa.asked(peer.DeletePayload(peer.ProtoESP, sa.in))
	for range 3 {
		sa.again(m)
		sa.same(m, first)
	}
	t.counts(1, 0)
	sa.alive()
}

func rememberedResponse(t *T) {
	sa := t.up()
	m, first := sa.asked()
	pause(time.Second)
	sa.again(m)
	sa.same(m, first)
}

func forgottenResponse(t *T) {
	sa := t.up()
	m, _ := sa.asked()
	sa.inform()
	sa.again(m)
	sa.alive() // nothing but its answer came
}

func changedRequest(t *T) {
	sa := t.up()
	m, first := sa.asked()
	m.Payloads = []peer.Payload{peer.DeletePayload(peer.ProtoIKE)}
	t.send(sa.way, sa.seal(m))
	if d, ok := t.receive(silence, anyDatagram); ok && !slices.Equal(d.Bytes, first) { // the old answer does no harm
		t.Fatalf("other octets under an old message ID are answered anew")
	}
	sa.alive()
	t.counts(1, 1)
}

func beyondWindow(t *T) {
	sa := t.up()
	next := sa.Own
	for i := range uint32(30) {
		sa.Own = next + 50 + 1000*i
		t.send(sa.way, sa.seal(sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))))
	}
	sa.Own = next
	notices := 0
	for {
		d, ok := t.receive(silence, anyDatagram)
		if !ok {
			break
		}
		m, _ := sa.open(d)
		if notices++; m.Response() {
			t.Fatalf("a request beyond the window is answered: %v", m)
		}
		sa.Theirs++
		sa.answer(m)
	}
	if notices > 3 {
		t.Errorf("%d notices about 30 requests", notices)
	}
	sa.alive()
	t.counts(1, 1)
}

func bothWays(t *T) {
	sa := t.up()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	for range 3 {
		sa.alive()
	}
	sa.answer(m)
	t.counts(1, 0)
}

func retransmits(t *T) {
	sa := t.up()
	t.order(DownChild)
	first, _ := sa.wait(func(h peer.Message) bool { return !h.Response() })
	whole := time.Duration(0)
	for i := range leisurely.Tries {
		d, _ := sa.wait(func(h peer.Message) bool { return !h.Response() })
		if !slices.Equal(d.Bytes, first.Bytes) {
			t.Fatalf("a repetition differs from what it repeats")
		}
		// A pause may be too long on a busy machine, and never too short: twice the same pause would be.
		whole += leisurely.Retransmit << i
		if took := d.At.Sub(first.At); took < whole*3/4 {
			t.Errorf("repetition %d came after %v, want %v", i+1, took, whole)
		}
	}
}

func retransmitsInit(t *T) {
	t.order(Up)
	sa, m := t.called()
	for range 2 {
		if d, _ := t.clear(m.SPIi); !slices.Equal(d.Bytes, sa.Init1) {
			t.Fatalf("a repetition differs from what it repeats")
		}
	}
	sa.accept(m, sa.welcome(m))
	first, _ := sa.wait(func(h peer.Message) bool { return h.Exchange == peer.IKEAuth })
	for range 2 {
		if d, _ := sa.wait(func(h peer.Message) bool { return h.Exchange == peer.IKEAuth }); !slices.Equal(d.Bytes, first.Bytes) {
			t.Fatalf("a repetition differs from what it repeats")
		}
	}
}

func givesUp(t *T) {
	sa := t.up()
	t.order(DownChild)
	for range 1 + hasty.Tries {
		sa.wait(func(h peer.Message) bool { return !h.Response() })
	}
	t.counts(0, 0)
}

func liveness(t *T) {
	sa := t.up()
	for range 3 {
		sa.answer(sa.request(peer.Informational))
	}
	sa.inform()
}

func livenessDead(t *T) {
	sa := t.up()
	m := sa.request(peer.Informational)
	if len(m.Payloads) != 0 {
		t.Errorf("the question is %v", m)
	}
	t.counts(0, 0)
}

func spiFlood(t *T) {
	sa := t.up()
	for range 200 {
		m := peer.Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: peer.Informational, Flags: peer.FlagInitiator | peer.FlagResponse, ID: sa.Own,
			Payloads: []peer.Payload{peer.NotifyPayload(peer.InvalidIKESPI)}}
		t.send(sa.way, m.Encode())
	}
	asked := 0
	for {
		d, ok := t.receive(silence, func(d peer.Datagram) bool { return sa.ours(d) })
		if !ok {
			break
		}
		m, _ := sa.open(d)
		asked++
		sa.Theirs = m.ID + 1
		sa.answer(m)
	}
	if asked > 5 {
		t.Errorf("the daemon asked %d times", asked)
	}
	sa.alive()
}

func wrongResponses(t *T) {
	sa := t.up()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	right := sa.Reply(m)
	for _, spoil := range []func(m *peer.Message){
		func(m *peer.Message) { m.ID++ },
		func(m *peer.Message) { m.ID-- },
		func(m *peer.Message) { m.Exchange = peer.CreateChildSA },
		func(m *peer.Message) { m.Flags ^= peer.FlagInitiator },
		func(m *peer.Message) { m.SPIr ^= 1 },
	} {
		wrong := right
		spoil(&wrong)
		t.send(sa.way, sa.seal(wrong))
	}
	t.send(sa.way, sa.Seal(right, peer.Oddities{Forge: true}))
	t.send(sa.way, right.Encode())
	again, _ := sa.wait(func(h peer.Message) bool { return !h.Response() })
	_ = again // it was repeated, so nothing was taken for its answer
	sa.answer(m)
	t.counts(1, 0)
}

func windowNotify(t *T) {
	sa := t.up()
	for _, data := range [][]byte{nil, {0}, {0, 0, 9}, {0, 0, 0, 0, 9}, {0, 0, 0, 0}} {
		m := sa.inform(peer.NotifyPayload(peer.SetWindowSize, data...))
		for _, n := range m.Notifies() {
			if n.Kind == peer.SetWindowSize && len(n.Data) != 4 {
				t.Errorf("SET_WINDOW_SIZE holds %x", n.Data)
			}
		}
		if errs := m.Errors(); len(errs) > 0 { // a malformed notify may be refused
			t.only(m, peer.InvalidSyntax)
			return
		}
	}
}

// upWindow makes an SA and returns the window that the daemon announces.
func (t *T) upWindow(more ...peer.Payload) (*SA, uint32) {
	sa := t.begin()
	m := sa.claim()
	m.Payloads = append(m.Payloads, more...)
	answer := sa.ask(m)
	sa.admitted(answer)
	n, ok := answer.Notify(peer.SetWindowSize)
	if !ok || len(n.Data) != 4 || n.Protocol != 0 {
		t.Fatalf("want SET_WINDOW_SIZE of four octets: %v %+v", answer, n)
	}
	return sa, binary.BigEndian.Uint32(n.Data)
}

func wideWindow(t *T) {
	sa, size := t.upWindow()
	var all []peer.Message
	for range size {
		all = append(all, sa.Request(peer.Informational))
	}
	slices.Reverse(all)
	octets := map[uint32][]byte{}
	for _, m := range all {
		sa.push(m)
		d, _ := sa.wait(func(h peer.Message) bool { return h.Response() && h.ID == m.ID })
		octets[m.ID] = d.Bytes
	}
	for _, m := range all {
		sa.again(m)
		sa.same(m, octets[m.ID])
	}
	sa.inform()
}

func edgeOfWindow(t *T) {
	sa, size := t.upWindow()
	base := sa.Own
	sa.Own = base + size // one beyond
	sa.push(sa.Request(peer.Informational))
	sa.Own = base
	t.quiet()
	var all []peer.Message
	for range size + 1 {
		m, _ := sa.asked()
		all = append(all, m)
	}
	sa.again(all[0]) // forgotten, because a request a whole window further on came
	t.quiet()
	sa.again(all[1])
	sa.response(all[1])
	sa.alive()
}

func windowOfPeer(t *T) {
	sa, _ := t.upWindow(peer.NotifyPayload(peer.SetWindowSize, 0, 0, 0, 2))
	t.order(UpSecond)
	first := sa.request(peer.CreateChildSA)
	t.order(DownChild)
	pause(silence)
	sa.Theirs = 0
	out := map[uint32]bool{first.ID: true}
	for {
		d, ok := t.receive(silence, sa.ours)
		if !ok {
			break
		}
		h, _ := peer.Header(d.Bytes)
		if out[h.ID] = true; h.Response() || len(out) > 2 {
			t.Fatalf("%v comes beside others: %v", h, out)
		}
	}
	sa.inform()
}

func extremeIDs(t *T) {
	sa := t.up()
	sa.inform()
	next := sa.Own
	for _, id := range []uint32{0, 1, 1 << 31, 1<<31 - 1, 1<<32 - 1} {
		for _, flags := range []uint8{0, peer.FlagResponse} {
			sa.Own = id
			m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
			m.Flags |= flags
			t.send(sa.way, sa.seal(m))
		}
	}
	sa.Own = next
	sa.alive()
	t.counts(1, 1)
}
