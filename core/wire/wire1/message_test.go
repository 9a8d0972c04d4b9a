package wire1_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

func TestEveryPrefixOfAMessageFails(t *testing.T) {
	t.Parallel()
	raw := unhex(t, mainHex)
	for n := range raw {
		if _, err := wire1.Parse(raw[:n]); err == nil {
			t.Errorf("%d of %d octets are a message", n, len(raw))
		}
		// The same with a header that agrees: now the payloads have to notice.
		if m, err := wire1.Parse(fixLength(raw[:n])); err == nil {
			t.Errorf("%d of %d octets with that length are a message: %+v", n, len(raw), m)
		}
	}
}

// RFC2408-5.1-2, 5.2-2, 3.1-2, 3.1-3.
func TestHeaderErrorsSayWhatToAnswer(t *testing.T) {
	t.Parallel()
	change := func(at int, value byte) []byte {
		b := unhex(t, mainHex)
		b[at] = value
		return b
	}
	cases := []struct {
		name   string
		packet []byte
		offset int
		notify wire1.NotifyType
	}{
		{"nothing", nil, 0, 0},
		{"27 octets", unhex(t, mainHex)[:27], 0, 0},
		{"version 2.0", change(17, 0x20), 17, wire1.InvalidMajorVersion},
		{"version 0.0", change(17, 0x00), 17, wire1.InvalidMajorVersion},
		{"version 1.1", change(17, 0x11), 17, wire1.InvalidMinorVersion},
		{"a flag without a meaning", change(19, 0x08), 19, wire1.InvalidFlags},
		{"length too small", change(27, 0xaf), 24, wire1.UnequalPayloadLengths},
		{"length too large", change(27, 0xb1), 24, wire1.UnequalPayloadLengths},
		{"length of 4 GiB", change(24, 0xff), 24, wire1.UnequalPayloadLengths},
		{"an octet after the message", append(unhex(t, mainHex), 0), 24, wire1.UnequalPayloadLengths},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire1.Parse(c.packet)
			if e := wantError(t, err, wire1.TypeNone, c.notify); e.Offset != c.offset {
				t.Errorf("error %v, want it at octet %d", e, c.offset)
			}
		})
	}
}

// RFC 2408 section 3.6: a message in clear may be aligned to 4 octets.
func TestMessageInClearMayEndInThreeZeros(t *testing.T) {
	t.Parallel()
	for padding, valid := range map[string]bool{"\x00": true, "\x00\x00\x00": true, "\x00\x00\x00\x00": false, "\x00\x01": false} {
		m, err := wire1.Parse(fixLength(append(unhex(t, mainHex), padding...)))
		if valid != (err == nil) || valid && !reflect.DeepEqual(m.Payloads, mainMessage.Payloads) {
			t.Errorf("padding %x: %v", padding, err)
		}
		if !valid {
			wantError(t, err, wire1.TypeVendorID, wire1.UnequalPayloadLengths)
		}
	}
}

// RFC2408-3.4-1: the chain never names a proposal or a transform.
func TestProposalsOutsideAnSAAreRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []wire.PayloadType{wire1.TypeProposal, wire1.TypeTransform} {
		_, err := parseBody(p, nil)
		wantError(t, err, p, wire1.InvalidPayloadType)
	}
}

func TestEncryptedMessageIsAHeaderAndCiphertext(t *testing.T) {
	t.Parallel()
	m := wire1.Message{Header: mainHeader, Cipher: bytes.Repeat([]byte{0xc1}, 32)}
	m.Header.NextPayload, m.Header.Flags, m.Header.Length = wire1.TypeID, wire1.FlagEncryption, 60
	got, err := wire1.Parse(m.Append(nil))
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestFragmentStandsInClearWhateverTheFlag(t *testing.T) {
	t.Parallel()
	for _, flags := range []wire.Flags{0, wire1.FlagEncryption} {
		m := wire1.Message{Header: mainHeader, Payloads: []wire1.Payload{wire1.Fragment{ID: 3, Number: 1, Data: []byte{1}}}}
		m.Header.Flags = flags
		got, err := wire1.Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(got.Payloads, m.Payloads) {
			t.Errorf("flags %d: decoded %+v, %v", flags, got, err)
		}
	}
}

func TestMessageWithoutPayloadsIsItsHeader(t *testing.T) {
	t.Parallel()
	raw := wire1.Message{Header: mainHeader}.Append(nil)
	m, err := wire1.Parse(raw)
	if err != nil || len(raw) != wire.HeaderLen || m.Payloads != nil || m.Header.NextPayload != wire1.TypeNone {
		t.Errorf("%x is %+v, %v", raw, m, err)
	}
}

// The receive buffer is used again, and one payload's user must not reach the next payload.
func TestDecodedPayloadsOwnTheirMemory(t *testing.T) {
	t.Parallel()
	raw := unhex(t, mainHex)
	m, err := wire1.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	v, _ := wire1.Get[wire1.VendorID](m.Payloads)
	_ = append(v.Data, bytes.Repeat([]byte{0xff}, 64)...)
	if !reflect.DeepEqual(m, mainMessage) {
		t.Errorf("the message became %+v", m)
	}
}

func TestGetAndAllFindPayloadsByType(t *testing.T) {
	t.Parallel()
	ps := mainMessage.Payloads
	if v, ok := wire1.Get[wire1.VendorID](ps); !ok || v.Vendor() != wire1.VendorNATT {
		t.Errorf("Get[VendorID] = %v, %v", v, ok)
	}
	if all := wire1.All[wire1.VendorID](ps); len(all) != 2 || all[1].Vendor() != wire1.VendorFragmentation {
		t.Errorf("All[VendorID] = %v", all)
	}
	if _, ok := wire1.Get[wire1.KE](ps); ok {
		t.Error("Get[KE] found one")
	}
	n := wire1.Notify{Kind: wire1.RUThere}
	if got, ok := wire1.GetNotify([]wire1.Payload{wire1.Notify{Kind: wire1.Connected}, n}, wire1.RUThere); !ok || got.Kind != n.Kind {
		t.Errorf("GetNotify = %v, %v", got, ok)
	}
	if _, ok := wire1.GetNotify(ps, wire1.RUThere); ok {
		t.Error("GetNotify found one")
	}
}

// Handshakes recorded with a Cisco router (testdata/README.md): the octets of another implementation come out as they went
// in. What is encrypted in them is read in package suite.
func TestRecordedMessagesEncodeToWhatWasRecorded(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/cisco-ikev1.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Transcripts map[string]struct {
			Messages []struct{ Initiator, Responder string }
		}
	}
	if err := json.Unmarshal(raw, &recorded); err != nil || len(recorded.Transcripts) != 3 {
		t.Fatal(err, len(recorded.Transcripts))
	}
	for name, transcript := range recorded.Transcripts {
		for i, m := range transcript.Messages {
			for _, packet := range [][]byte{unhex(t, m.Initiator), unhex(t, m.Responder)} {
				if len(packet) == 0 {
					continue
				}
				got, err := wire1.Parse(packet)
				if err != nil || !bytes.Equal(got.Append(nil), packet) {
					t.Errorf("%s, message %d: %v, encoded %x", name, i, err, got.Append(nil))
				}
			}
		}
	}
}
