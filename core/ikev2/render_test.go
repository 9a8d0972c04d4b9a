package ikev2

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func renderSend(h *host, e machine.Send) string {
	where := fmt.Sprintf("%v -> %v", e.Local, e.Remote)
	if len(e.Bytes) == 1 {
		return where + " NAT keepalive"
	}
	if f, ok := fragmentOf(e.Bytes); ok {
		return where + " " + renderFragment(h, e.Bytes, f)
	}
	return where + " " + renderMessage(h.tap, e.Bytes)
}

func renderMessage(tap *suite.Protection, b []byte) string {
	m, err := wire2.Parse(b)
	if err != nil {
		return fmt.Sprintf("unreadable: %v", err)
	}
	kind := "request"
	if m.Header.Flags&wire.FlagResponse != 0 {
		kind = "response"
	}
	body := renderPayloads(m.Payloads)
	if _, protected := wire2.Get[wire2.SK](m.Payloads); protected && tap != nil {
		inner, err := tap.Open(b)
		body = "SK{" + renderPayloads(inner.Payloads) + "}"
		if err != nil {
			body = "SK{" + err.Error() + "}"
		}
	}
	return fmt.Sprintf("%s %d %s %s", wire2.ExchangeName(m.Header.Exchange), m.Header.MessageID, kind, body)
}

func renderPayloads(ps []wire2.Payload) string {
	var words []string
	for _, p := range ps {
		words = append(words, renderPayload(p))
	}
	return strings.Join(words, " ")
}

func renderPayload(p wire2.Payload) string {
	switch p := p.(type) {
	case wire2.SA:
		return "SA(" + strings.Join(offerStrings(p), ", ") + ")"
	case wire2.KE:
		return "KE(" + suite.KEID(p.Method).String() + ")"
	case wire2.IDi:
		return "IDi(" + idString(wire2.ID(p)) + ")"
	case wire2.IDr:
		return "IDr(" + idString(wire2.ID(p)) + ")"
	case wire2.TSi:
		return "TSi(" + strings.Join(selectorStrings(policy.SelectorsFromWire(p.Selectors)), ", ") + ")"
	case wire2.TSr:
		return "TSr(" + strings.Join(selectorStrings(policy.SelectorsFromWire(p.Selectors)), ", ") + ")"
	case wire2.Notify:
		return renderNotify(p)
	case wire2.CP:
		return renderCP(p)
	case wire2.CertReq:
		return renderCertReq(p)
	case wire2.Delete:
		return fmt.Sprintf("D(%v %x)", p.Protocol, p.SPIs)
	}
	return wire2.PayloadName(p.Type())
}

func renderNotify(n wire2.Notify) string {
	if n.Kind.IsError() && len(n.Data) > 0 {
		return fmt.Sprintf("N(%v %x)", n.Kind, n.Data)
	}
	return fmt.Sprintf("N(%v)", n.Kind)
}

func idString(id wire2.ID) string {
	p, err := policy.IdentityFromWire(id)
	if err != nil {
		return "unreadable"
	}
	return p.String()
}

func renderOp(op machine.Op) string {
	switch op := op.(type) {
	case machine.KEInitiate:
		return "KEInitiate " + suite.KEID(op.Method).String()
	case machine.KERespond:
		return "KERespond " + suite.KEID(op.Method).String()
	case machine.KEFinish:
		return "KEFinish " + suite.KEID(op.Method).String()
	case machine.Sign:
		return renderSign(op)
	case machine.Verify:
		return fmt.Sprintf("Verify %s of %s", op.Auth, op.Remote.Data)
	case machine.Authenticate:
		return fmt.Sprintf("Authenticate %s of %s as %s%s", op.Verify.Auth, op.Verify.Remote.Data, op.Sign.Local.Data, renderTerms(op.Sign))
	case machine.AllocateSPI:
		return strings.TrimSpace(fmt.Sprintf("AllocateSPI %v %v %s", op.Local, op.Remote, strings.TrimPrefix(op.Backend, "fake")))
	case machine.InstallChild:
		c := op.Child
		text := fmt.Sprintf("InstallChild %s in %08x out %08x %v:%d %v:%d encap %v", c.Name, c.SPIIn, c.SPIOut, c.Local, c.LocalPort,
			c.Remote, c.RemotePort, c.Encap) + renderTraits(c) + renderAddresses(c.Addresses)
		if c.Held {
			text += " held"
		}
		return text
	case machine.FreeSPI:
		return fmt.Sprintf("FreeSPI %08x", op.SPI)
	case machine.UpdateChild:
		c := op.Child
		return fmt.Sprintf("UpdateChild %s in %08x out %08x %v:%d %v:%d encap %v held %v", c.Name, c.SPIIn, c.SPIOut, c.Local, c.LocalPort,
			c.Remote, c.RemotePort, c.Encap, c.Held)
	case machine.Lease:
		return fmt.Sprintf("Lease of %v to %s from %v want %v succeeds %v", op.Pools, op.Identity.Data, op.From, op.Want, op.Succeeds)
	case machine.RemoveChild:
		return fmt.Sprintf("RemoveChild in %08x", op.Child.SPIIn)
	}
	return opName(op)
}

func renderKey(key uint64) string {
	if key == 0 {
		return ""
	}
	return fmt.Sprintf(" key %x", key)
}

// renderEvent shows the name of an event and its fields, except descriptions of SAs, of which the essence is shown.
func renderEvent(e machine.Emit) string {
	if c, ok := e.Event.(event.IKEStateChanged); ok {
		return fmt.Sprintf("state %s -> %s", c.From, c.To)
	}
	b, _ := json.Marshal(e.Event)
	fields := map[string]any{}
	_ = json.Unmarshal(b, &fields)
	var words []string
	for k, v := range fields {
		words = append(words, k+"="+renderField(k, v))
	}
	sort.Strings(words)
	return strings.TrimSpace(fmt.Sprintf("event %s [%s] %s", e.Event.Kind().Name, e.Subject.Conn, strings.Join(words, " ")))
}

func renderField(key string, v any) string {
	m, _ := v.(map[string]any)
	switch key {
	case "ike":
		return fmt.Sprintf("{%v %v %v %v}", m["role"], text(m["local_id"]), text(m["remote_id"]), text(m["suite"]))
	case "child":
		text := fmt.Sprintf("{%v in %v out %v %v %v %v}", m["name"], m["spi_in"], m["spi_out"], m["suite"], m["local_ts"], m["remote_ts"])
		if placed, ok := m["placed"]; ok {
			text = fmt.Sprintf("%s by %v}", strings.TrimSuffix(text, "}"), placed)
		}
		return text
	case "traffic":
		return "..."
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func text(v any) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}
