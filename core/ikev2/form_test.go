package ikev2

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// checkForm holds every message that an SA sends, in whatever test, against the rules on its form.
func (w *world) checkForm(h *host, e machine.Send) {
	w.t.Helper()
	if len(e.Bytes) == 1 { // NAT keepalive
		return
	}
	m, err := wire2.Parse(e.Bytes)
	if f, ok := fragmentOf(e.Bytes); ok {
		w.checkFragment(h, e, f)
		return
	}
	if _, protected := wire2.Get[wire2.SK](m.Payloads); protected {
		m, err = h.tap.Open(e.Bytes)
	}
	if err != nil {
		w.t.Errorf("%s sends what cannot be read: %v", h.label, err)
		return
	}
	faults := headerFaults(m.Header, h.initiator)
	if e.Bytes[19]&^0x28 != 0 { // RFC7296-3.1-8, -11
		faults = append(faults, "a flag without a meaning is set")
	}
	for _, p := range m.Payloads {
		faults = append(faults, payloadFaults(m, p)...)
	}
	for _, f := range faults {
		w.t.Errorf("%s sends %s %d: %s", h.label, wire2.ExchangeName(m.Header.Exchange), m.Header.MessageID, f)
	}
}

// headerFaults: RFC7296-3.1-3, -4, -5, -7, -12.
func headerFaults(h wire.Header, initiator bool) (faults []string) {
	fault := func(wrong bool, text string) {
		if wrong {
			faults = append(faults, text)
		}
	}
	first := h.Exchange == wire2.IKESAInit && h.Flags&wire.FlagResponse == 0
	fault(h.InitiatorSPI == 0, "the initiator's SPI is zero")
	fault(first && h.ResponderSPI != 0, "the first message has a responder's SPI")
	fault(h.Major != 2 || h.Minor != 0, "the version is not 2.0")
	fault((h.Flags&wire.FlagInitiator != 0) != initiator, "the initiator flag is wrong")
	return faults
}

func payloadFaults(m wire2.Message, p wire2.Payload) (faults []string) {
	switch p := p.(type) {
	case wire2.Unknown:
		faults = append(faults, "a payload that RFC 7296 does not define")
	case wire2.Notify: // RFC7296-3.10-2, -3
		if about := p.Kind == wire2.RekeySA || p.Kind == wire2.ChildSANotFound; about != (len(p.SPI) == 4 && p.Protocol == wire2.ProtoESP) ||
			!about && (len(p.SPI) != 0 || p.Protocol != 0) {
			faults = append(faults, "a notify has an SPI or a protocol that it must not have, or lacks one")
		}
		if p.Kind == wire2.InvalidMessageID { // RFC7296-2.3-8
			faults = append(faults, fmt.Sprintf("%v is never ours to send", p.Kind))
		}
		if p.Kind == wire2.InitialContact && (m.Header.Exchange != wire2.IKEAuth || m.Header.MessageID != 1) { // RFC7296-2.4-2
			faults = append(faults, "INITIAL_CONTACT outside the first IKE_AUTH exchange")
		}
	case wire2.Delete: // RFC7296-3.11-3
		if p.Protocol == wire2.ProtoIKE && (p.SPISize != 0 || len(p.SPIs) != 0) || p.Protocol != wire2.ProtoIKE && p.SPISize != 4 {
			faults = append(faults, "a delete has SPIs of a wrong size")
		}
	case wire2.SA:
		faults = append(faults, saFaults(m, p)...)
	case wire2.KE: // RFC7296-3.4-2, -4
		sa, _ := wire2.Get[wire2.SA](m.Payloads)
		if !slices.ContainsFunc(sa.Proposals, func(o wire2.Proposal) bool { return has(o, wire2.TransformKE, p.Method) }) {
			faults = append(faults, "the group of the KE payload is in no proposal")
		}
	}
	return faults
}

// saFaults: RFC7296-3.3-3, RFC7296-3.3.1-3, RFC7296-2.7-3, -4, RFC7296-3.3-4, -5, RFC7296-1.2-6.
func saFaults(m wire2.Message, sa wire2.SA) (faults []string) {
	answer := m.Header.Flags&wire.FlagResponse != 0
	if answer && len(sa.Proposals) != 1 {
		faults = append(faults, fmt.Sprintf("%d proposals are chosen", len(sa.Proposals)))
	}
	for i, p := range sa.Proposals {
		if !answer && int(p.Number) != i+1 {
			faults = append(faults, fmt.Sprintf("proposal %d has number %d", i+1, p.Number))
		}
		if size := map[bool]int{false: 8}[m.Header.Exchange == wire2.IKESAInit]; p.Protocol == wire2.ProtoIKE && len(p.SPI) != size { // RFC7296-3.3.1
			faults = append(faults, fmt.Sprintf("the SPI of an IKE proposal has %d octets", len(p.SPI)))
		}
		seen := map[wire2.TransformType]bool{}
		for _, t := range p.Transforms {
			e, known := suite.LookupEncryption(suite.EncrID(t.ID))
			switch {
			case answer && seen[t.Type]:
				faults = append(faults, "two transforms of one type are chosen")
			case t.Type == wire2.TransformENCR && known && e.AEAD && slices.ContainsFunc(p.Transforms, isIntegrity):
				faults = append(faults, "a combined-mode cipher comes with integrity")
			case t.Type == wire2.TransformKE && m.Header.Exchange == wire2.IKEAuth:
				faults = append(faults, "a key exchange is offered in IKE_AUTH")
			}
			seen[t.Type] = true
		}
	}
	return faults
}

func isIntegrity(t wire2.Transform) bool { return t.Type == wire2.TransformINTEG && t.ID != 0 }

func has(p wire2.Proposal, typ wire2.TransformType, id uint16) bool {
	return slices.ContainsFunc(p.Transforms, func(t wire2.Transform) bool { return t.Type == typ && t.ID == id })
}

// A check that finds nothing because it looks nowhere would pass every test.
func TestFaultsOfFormAreFound(t *testing.T) {
	t.Parallel()
	request := wire.Header{InitiatorSPI: 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator}
	answer, auth := request, request
	answer.Flags, auth.Exchange = wire.FlagResponse, wire2.IKEAuth
	gcm := wire2.Transform{Type: wire2.TransformENCR, ID: 20, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 256}}}
	sha, p256 := wire2.Transform{Type: wire2.TransformINTEG, ID: 12}, wire2.Transform{Type: wire2.TransformKE, ID: 19}
	offer := func(p wire2.Proposal) wire2.SA { return wire2.SA{Proposals: []wire2.Proposal{p}} }
	for _, tt := range []struct {
		h wire.Header
		p wire2.Payload
	}{
		{request, wire2.Unknown{Number: 200}},
		{request, wire2.Notify{Kind: wire2.Cookie, Protocol: wire2.ProtoIKE}},
		{request, wire2.Notify{Kind: wire2.InitialContact}},
		{request, wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 8}},
		{request, wire2.KE{Method: 31}},
		{request, offer(wire2.Proposal{Number: 2})},
		{request, offer(wire2.Proposal{Number: 1, Protocol: wire2.ProtoIKE, SPI: make([]byte, 8)})},
		{request, offer(wire2.Proposal{Number: 1, Transforms: []wire2.Transform{gcm, sha}})},
		{answer, offer(wire2.Proposal{Number: 1, Transforms: []wire2.Transform{p256, p256}})},
		{answer, ikeOffer(append(policy.DefaultIKE(), policy.DefaultIKE()...))},
		{auth, offer(wire2.Proposal{Number: 1, Transforms: []wire2.Transform{p256}})},
	} {
		m := wire2.Message{Header: tt.h, Payloads: []wire2.Payload{tt.p}}
		if len(payloadFaults(m, tt.p)) == 0 {
			t.Errorf("nothing is wrong with %+v", tt.p)
		}
	}
	bad := []wire.Header{{Major: 2, Flags: wire.FlagInitiator}, {InitiatorSPI: 1, Major: 2, Minor: 1, Flags: wire.FlagInitiator},
		{InitiatorSPI: 1, Major: 2}, {InitiatorSPI: 1, ResponderSPI: 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator}}
	for _, h := range bad {
		if len(headerFaults(h, true)) != 1 {
			t.Errorf("%+v: %v", h, headerFaults(h, true))
		}
	}
}
