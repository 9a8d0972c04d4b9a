package ikev1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func (h *host) renderSend(e machine.Send) string {
	where := fmt.Sprintf("%v -> %v", e.Local, e.Remote)
	if len(e.Bytes) == 1 {
		return where + " NAT keepalive"
	}
	m, err := wire1.Parse(e.Bytes)
	if err != nil {
		return fmt.Sprintf("%s unreadable: %v", where, err)
	}
	if f, ok := wire1.Get[wire1.Fragment](m.Payloads); ok {
		return where + " " + h.renderFragment(e, m.Header, f)
	}
	body := renderPayloads(m.Payloads)
	if h.decrypts() {
		body = renderHidden(m.Payloads)
	}
	if m.Cipher != nil {
		body = "encrypted"
		if h.tap != nil {
			ps, err := h.node.w.open(h, m, e.Bytes)
			body = "{" + renderPayloads(ps) + "}"
			if err != nil {
				body = "{" + err.Error() + "}"
			}
		}
	}
	id := ""
	if m.Header.MessageID != 0 {
		id = fmt.Sprintf(" %08x", m.Header.MessageID)
	}
	return fmt.Sprintf("%s %s%s %s", where, wire1.ExchangeName(m.Header.Exchange), id, body)
}

// renderFragment shows a fragment, and with the last one the message.
func (h *host) renderFragment(e machine.Send, head wire.Header, f wire1.Fragment) string {
	text := fmt.Sprintf("%s %08x FRAGMENT(%d, %d octets)", wire1.ExchangeName(head.Exchange), head.MessageID, f.Number, len(e.Bytes))
	if f.Number == 1 {
		h.inner = nil
	}
	if h.inner = append(h.inner, f.Data...); !f.Last {
		return text
	}
	e.Bytes = h.inner
	return text + ": " + h.renderSend(e)
}

func renderPayloads(ps []wire1.Payload) string {
	var words []string
	for _, p := range ps {
		words = append(words, renderPayload(p))
	}
	return strings.Join(words, " ")
}

// renderHidden shows payloads of which RSA encryption hides some, those by their names.
func renderHidden(ps []wire1.Payload) string {
	var words []string
	for _, p := range ps {
		switch p.Type() {
		case wire1.TypeID, wire1.TypeCert:
			words = append(words, wire1.PayloadName(p.Type())+"(hidden)")
		default:
			words = append(words, renderPayload(p))
		}
	}
	return strings.Join(words, " ")
}

func renderPayload(p wire1.Payload) string {
	switch p := p.(type) {
	case wire1.SA:
		return "SA(" + renderSA(p) + ")"
	case wire1.ID:
		return "ID(" + renderID(p) + ")"
	case wire1.VendorID:
		return "VID(" + p.String() + ")"
	case wire1.Notify:
		if len(p.Data) > 0 {
			return fmt.Sprintf("N(%v %x)", p.Kind, p.Data)
		}
		return fmt.Sprintf("N(%v)", p.Kind)
	case wire1.Delete:
		return fmt.Sprintf("D(%d %x)", p.Protocol, p.SPIs)
	case wire1.Cert:
		return fmt.Sprintf("CERT(%d %s)", p.Encoding, p.Data)
	case wire1.Config:
		return fmt.Sprintf("ATTR(%s)", renderConfig(p))
	case wire1.NATOA:
		return fmt.Sprintf("%s(%v)", wire1.PayloadName(p.Type()), p.Data)
	}
	return wire1.PayloadName(p.Type())
}

// renderConfig shows the kind and the attributes, with their values as text when they are text.
func renderConfig(c wire1.Config) string {
	words := []string{strings.TrimPrefix(c.Kind.String(), "ISAKMP_CFG_")}
	for _, a := range c.Attributes {
		word := wire1.ConfigAttributeName(a.Type)
		switch {
		case a.TV:
			word += fmt.Sprintf("=%d", a.Value)
		case isText(a.Data):
			word += fmt.Sprintf("=%q", a.Data)
		case len(a.Data) > 0:
			word += fmt.Sprintf("=%x", a.Data)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func isText(b []byte) bool {
	return len(b) > 4 && bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// renderSA shows proposals in the words of the configuration, with what is offered besides.
func renderSA(sa wire1.SA) string {
	if len(sa.Proposals) > 0 && sa.Proposals[0].Protocol == wire1.ProtoISAKMP {
		method, _ := wire1.FindNumber(sa.Proposals[0].Transforms[0].Attributes, wire1.AttrAuthMethod)
		life, _ := wire1.FindNumber(sa.Proposals[0].Transforms[0].Attributes, wire1.AttrLifeDuration)
		return fmt.Sprintf("%s; %v; %d s", strings.Join(policy.Phase1Strings(sa), ", "), wire1.AuthMethod(method), life)
	}
	mode, _ := wire1.FindNumber(sa.Proposals[0].Transforms[0].Attributes, wire1.AttrEncapsulation)
	life, _ := wire1.FindNumber(sa.Proposals[0].Transforms[0].Attributes, wire1.AttrSALifeDuration)
	return fmt.Sprintf("%x %s; %s; %d s", sa.Proposals[0].SPI, strings.Join(policy.Phase2Strings(sa), ", "), wire1.EncapsulationName(uint16(mode)), life)
}

func renderID(id wire1.ID) string {
	if s, ok := policy.SelectorFromIKEv1(id); ok {
		return s.String()
	}
	p, err := policy.IdentityFromIKEv1(id)
	if err != nil {
		return "unreadable"
	}
	if id.Protocol != 0 || id.Port != 0 {
		return fmt.Sprintf("%v %d/%d", p, id.Protocol, id.Port)
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
	case machine.SKEYID:
		return fmt.Sprintf("SKEYID %s as %s to %s", op.Auth, renderIdentity(op.Local), renderIdentity(op.Remote))
	case machine.Sign:
		return fmt.Sprintf("Sign %s as %s to %s", op.Auth, renderIdentity(op.Local), renderIdentity(op.Remote))
	case machine.Verify:
		return fmt.Sprintf("Verify %s of %s by %s", op.Auth, renderIdentity(op.Remote), op.Certs)
	case machine.Protect:
		return fmt.Sprintf("Protect %s %d as %s for %s certificates %s", op.Auth, len(op.Plain), renderIdentity(op.Local), renderIdentity(op.Remote), op.Certs)
	case machine.Unprotect:
		return fmt.Sprintf("Unprotect %s %d as %s, HASH(1) of %d octets", op.Auth, len(op.Cipher), renderIdentity(op.Local), len(op.KeyHash))
	case machine.CheckPassword:
		return "CheckPassword of " + op.User
	case machine.OwnPassword:
		return "OwnPassword of " + op.User
	case machine.AllocateSPI:
		return strings.TrimSpace(fmt.Sprintf("AllocateSPI %v %v %s", op.Local, op.Remote, strings.TrimPrefix(op.Backend, "fake")))
	case machine.InstallChild:
		return "InstallChild " + renderChild(op.Child)
	case machine.UpdateChild:
		return "UpdateChild " + renderChild(op.Child)
	case machine.Lease:
		return fmt.Sprintf("Lease of %v to %s from %v want %v succeeds %v", op.Pools, op.Identity.Data, op.From, op.Want, op.Succeeds)
	case machine.FreeSPI:
		return fmt.Sprintf("FreeSPI %08x", op.SPI)
	case machine.RemoveChild:
		return fmt.Sprintf("RemoveChild in %08x", op.Child.SPIIn)
	}
	return opName(op)
}

func renderChild(c machine.ChildSA) string {
	text := fmt.Sprintf("%s in %08x out %08x %v:%d %v:%d encap %v", c.Name, c.SPIIn, c.SPIOut, c.Local, c.LocalPort, c.Remote, c.RemotePort, c.Encap)
	if c.Mode == machine.Transport {
		text += " transport"
	}
	if c.Hard.Bytes != 0 {
		text += fmt.Sprintf(" at most %d octets", c.Hard.Bytes)
	}
	if len(c.Addresses) > 0 {
		text += fmt.Sprintf(" assigned %v", c.Addresses)
	}
	if c.Held {
		text += " held"
	}
	return text
}

func renderIdentity(id machine.Identity) string {
	return idText(policy.Identity{Type: wire2.IDType(id.Type), Data: string(id.Data)})
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
		user := ""
		if m["user"] != nil {
			user = fmt.Sprintf(" user %v", m["user"])
		}
		return fmt.Sprintf("{%v %v %v %v%s}", m["role"], text(m["local_id"]), text(m["remote_id"]), text(m["suite"]), user)
	case "child":
		return fmt.Sprintf("{%v in %v out %v %v %v %v}", m["name"], m["spi_in"], m["spi_out"], m["suite"], m["local_ts"], m["remote_ts"])
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
