package daemon

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
)

type memoryFile struct {
	bytes.Buffer
	closed bool
}

func (m *memoryFile) Close() error { m.closed = true; return nil }

func aesKeys() machine.Keys {
	return machine.Keys{Version: 2, SPIi: 0x0102, SPIr: 0x0304, Encr: uint16(suite.EncrAESCBC), KeyBits: 128, Integ: uint16(suite.IntegHMACSHA1_96),
		EncrI: []byte{0xe1}, EncrR: []byte{0xe2}, IntegI: []byte{0xa1}, IntegR: []byte{0xa2}}
}

func TestKeysAreWrittenInTheWordsOfWireshark(t *testing.T) {
	t.Parallel()
	gcm := machine.Keys{Version: 2, SPIi: 1, SPIr: 2, Encr: uint16(suite.EncrAESGCM16), KeyBits: 256, EncrI: []byte{1}, EncrR: []byte{2}}
	chacha := gcm
	chacha.Encr, chacha.KeyBits = uint16(suite.EncrChaCha20Poly1305), 0
	for want, keys := range map[string]machine.Keys{
		`uat:ikev2_decryption_table:0000000000000102,0000000000000304,e1,e2,"AES-CBC-128 [RFC3602]",a1,a2,"HMAC_SHA1_96 [RFC2404]"`:       aesKeys(),
		`uat:ikev2_decryption_table:0000000000000001,0000000000000002,01,02,"AES-GCM-256 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"`: gcm,
		`# 0000000000000001 0000000000000002: Wireshark does not know ENCR_CHACHA20_POLY1305 with NONE`:                                   chacha,
		`uat:ikev1_decryption_table:0000000000000102,e1`:                                                                                  {Version: 1, SPIi: 0x0102, EncrI: []byte{0xe1}},
	} {
		if got := wireshark(keys); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAKeyFileHasAllKeysWhenItIsClosedAndForgetsThem(t *testing.T) {
	t.Parallel()
	var out memoryFile
	k := newKeyFile(&out, zap.NewNop())
	all := make([]machine.Keys, 100)
	for i := range all {
		all[i] = aesKeys()
		k.add(all[i])
	}
	k.close()
	if got := strings.Count(out.String(), "\n"); got != len(all) || !out.closed {
		t.Errorf("%d lines of %d, closed: %t", got, len(all), out.closed)
	}
	for i, keys := range all {
		if keys.EncrI[0] != 0 || keys.IntegR[0] != 0 {
			t.Fatalf("the keys of SA %d were not wiped", i)
		}
	}
}
