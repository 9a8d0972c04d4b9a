package wire2_test

import (
	"fmt"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestNumbersHaveTheirIANANames(t *testing.T) {
	t.Parallel()
	cases := []struct{ got, want string }{
		{wire2.ExchangeName(wire2.IKESAInit), "IKE_SA_INIT"},
		{wire2.ExchangeName(43), "IKE_INTERMEDIATE"},
		{wire2.ExchangeName(2), "EXCHANGE_2"},
		{wire2.PayloadName(wire2.TypeSA), "SA"},
		{wire2.PayloadName(wire2.TypeSKF), "SKF"},
		{wire2.PayloadName(13), "PAYLOAD_13"},
		{fmt.Sprint(wire2.ProtoESP), "ESP"},
		{fmt.Sprint(wire2.ProtocolID(9)), "PROTOCOL_9"},
		{fmt.Sprint(wire2.TransformINTEG), "INTEG"},
		{fmt.Sprint(wire2.TransformType(6)), "ADDKE1"},
		{fmt.Sprint(wire2.TransformType(240)), "TRANSFORM_240"},
		{fmt.Sprint(wire2.IDFQDN), "ID_FQDN"},
		{fmt.Sprint(wire2.IDType(4)), "ID_4"},
		{fmt.Sprint(wire2.AuthSharedKeyMIC), "Shared Key Message Integrity Code"},
		{fmt.Sprint(wire2.AuthMethod(4)), "AUTH_METHOD_4"},
		{fmt.Sprint(wire2.TSIPv6AddrRange), "TS_IPV6_ADDR_RANGE"},
		{fmt.Sprint(wire2.TSType(6)), "TS_6"},
		{fmt.Sprint(wire2.NoProposalChosen), "NO_PROPOSAL_CHOSEN"},
		{fmt.Sprint(wire2.NotifyType(16441)), "ADDITIONAL_KEY_EXCHANGE"},
		{fmt.Sprint(wire2.NotifyType(8191)), "NOTIFY_8191"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// RFC 7296 section 3.10.1: types from 16384 on are status.
func TestErrorNotifiesEndAt16383(t *testing.T) {
	t.Parallel()
	for kind, want := range map[wire2.NotifyType]bool{0: true, wire2.ChildSANotFound: true, 16383: true, 16384: false, 65535: false} {
		if kind.IsError() != want {
			t.Errorf("IsError of %d is not %v", kind, want)
		}
	}
}
