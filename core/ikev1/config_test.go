package ikev1

import (
	"slices"
	"strconv"
	"strings"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// transact has an SA send a message of a transaction exchange that it would not send by itself: the message ID, the kind and the
// attributes, each as NUMBER, NUMBER=HEX or NUMBER:TEXT. The answer is nothing that the SA waits for. Off is as for sealed. A kind such
// as "1+" has two Attributes payloads; "none" has none.
func (p *player) transact(from *host, off uint32, w []string) {
	p.t.Helper()
	id, err := strconv.ParseUint(w[0], 16, 32)
	if err != nil {
		p.t.Fatal(err)
	}
	word, twice := strings.CutSuffix(w[1], "+")
	kind, _ := strconv.Atoi(word)
	c := wire1.Config{Kind: wire1.ConfigKind(kind), Identifier: 7}
	for _, word := range w[2:] {
		c.Attributes = append(c.Attributes, p.attributes(word)...)
	}
	ps := []wire1.Payload{c}
	switch {
	case twice:
		ps = append(ps, c)
	case word == "none":
		ps = []wire1.Payload{from.notify(wire1.InitialContact)}
	}
	x := &exchange{kind: wire1.Transaction, id: uint32(id)}
	x.iv = from.exchangeIV(x.id)
	send := machine.Send{Local: from.local, Remote: from.remote, Bytes: from.seal(x, from.hashed(x.id+off, ps))}
	p.logf("%s forges %s", from.label, from.renderSend(send))
	p.arrive(datagram{from: from, Send: send})
}

// attributes reads one attribute, or as many alike as NUMBERxCOUNT says.
func (p *player) attributes(word string) []wire1.Attribute {
	p.t.Helper()
	a := wire1.Attribute{}
	number, value, isText := strings.Cut(word, ":")
	if a.Data = []byte(value); !isText {
		number, value, _ = strings.Cut(word, "=")
		a.Data = p.hex(value)
	}
	number, times, _ := strings.Cut(number, "x")
	n, err := strconv.ParseUint(number, 10, 15)
	if err != nil {
		p.t.Fatal(err)
	}
	a.Type = uint16(n)
	count, _ := strconv.Atoi(times)
	return slices.Repeat([]wire1.Attribute{a}, max(count, 1))
}
