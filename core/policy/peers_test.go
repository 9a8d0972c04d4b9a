package policy

import "testing"

// peers is what common peers offer, or accept, with nothing configured beyond identities and keys, and what comes of it with
// our lists when ours is the order that counts. Groups without a KE payload at hand: the child is rekeyed with what the
// peer's first group is. "" is a mismatch.
var peers = []struct {
	name                   string
	ike, esp               []string
	ke, pfs                uint16 // of the peer's KE payload in IKE_SA_INIT and at a rekey of the child
	ikeDefault, espDefault string
	ikeCompat, espCompat   string // "=": as with default
}{
	{"strongSwan 6", []string{
		"c128 c192 c256 3des / s256 s384 s512 xcbc cmac s1 / p256 p384 p512 pxcbc p1 / 19 20 21 31 32 15 16 17 18 14",
		"g128 g192 g256 cp / p256 p384 p512 pxcbc p1 / 19 20 21 31 32 15 16 17 18 14"},
		[]string{"g128 g192 g256 / 19 20 21 31 32 15 16 17 18 14 0", "c128 c192 c256 / s256 s384 s512 s1 xcbc / 19 20 21 31 32 15 16 17 18 14 0"}, 19, 31,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256", "AES_GCM_16_256/CURVE25519", "=", "="},
	{"strongSwan 5.9", []string{
		"c128 c192 c256 / s256 s384 s512 xcbc cmac s1 / p256 p384 p512 pxcbc p1 / 19 20 21 31 32 15 16 17 18 14",
		"g128 g192 g256 cp / p256 p384 p512 pxcbc p1 / 19 20 21 31 32 15 16 17 18 14"},
		[]string{"g128 g192 g256", "c128 c192 c256 / s256 s384 s512 s1 xcbc"}, 19, 0,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256", "AES_GCM_16_256", "=", "="},
	{"Libreswan 5", []string{
		"g256 / p512 p256 / 19 20 21 31 16 15 14 18", "g128 / p512 p256 / 19 20 21 31 16 15 14 18", "cp / p512 p256 / 19 20 21 31 16 15 14 18",
		"c256 / s512 s256 / p512 p256 / 19 20 21 31 16 15 14 18", "c128 / s512 s256 / p512 p256 / 19 20 21 31 16 15 14 18"},
		[]string{"g256 / 31", "g128 / 31", "cp / 31", "c256 / s512 s256 / 31", "c128 / s512 s256 / 31"}, 19, 31,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256", "AES_GCM_16_256/CURVE25519", "=", "="},
	{"Libreswan 4.15", []string{
		"g256 / p512 p256 / 14 15 16 18 19 20 21 31", "g128 / p512 p256 / 14 15 16 18 19 20 21 31",
		"c256 / s512 s256 / p512 p256 / 14 15 16 18 19 20 21 31", "c128 / s512 s256 / p512 p256 / 14 15 16 18 19 20 21 31"},
		[]string{"g256 / 31", "g128 / 31", "c256 / s512 s256 / 31"}, 14, 31,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/MODP_2048", "AES_GCM_16_256/CURVE25519", "=", "="},
	{"OpenIKED 7", []string{
		"c256 c192 c128 3des / s256 s384 s512 s1 / p256 p384 p512 p1 / 31 21 20 19 16 15 14 5 2", "g128 g256 / p256 p384 p512 p1 / 31 21 20 19 16 15 14 5 2"},
		[]string{"c256 c192 c128 / s256 s384 s512 s1 / 0", "g128 g256 / 0"}, 31, 0,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519", "AES_GCM_16_256", "=", "="},
	{"iOS", []string{"c256/s256/p256/14", "c256/s256/p256/19", "c256/s256/p256/5", "c128/s1/p1/2", "3des/s1/p1/2"},
		[]string{"c256 / s256", "c128 / s1", "3des / s1"}, 14, 0,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_CBC_256/HMAC_SHA2_256_128", "=", "="},
	{"macOS", []string{"c256/s256/p256/14", "c256/s256/p256/5", "c128/s1/p1/2", "3des/s1/p1/2"},
		[]string{"c256 / s256", "c128 / s1", "3des / s1"}, 14, 0,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_CBC_256/HMAC_SHA2_256_128", "=", "="},
	{"Android 12", []string{
		"ctr256 c256 ctr128 c128 / s512 s384 s256 xcbc cmac / p512 p384 p256 pxcbc pcmac p1 / 16 31 15 14",
		"cp g256 g192 g128 / p512 p384 p256 pxcbc pcmac p1 / 16 31 15 14"},
		[]string{"c256 c192 c128 / s512 s384 s256", "cp g256 g192 g128"}, 16, 0,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519", "AES_GCM_16_256", "=", "="},
	{"Android ePDG client", []string{"c128 c192 c256 / xcbc s1 s256 s384 s512 / p1 pxcbc p256 p384 p512 / 2 5 14"},
		[]string{"c128 c192 c256 / xcbc s1 s256 s384 s512"}, 2, 0,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_CBC_256/HMAC_SHA2_256_128", "=", "="},
	{"Windows, NegotiateDH2048_AES256 = 2", []string{"c256/s1/p1/14", "c256/s256/p256/14", "c256/s384/p384/14"},
		[]string{"c256 / s1", "c128 / s1", "3des / s1"}, 14, 0,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "", "=", "AES_CBC_256/HMAC_SHA1_96"},
	{"Windows, stock", []string{"3des/s1/p1/2", "c128/s1/p1/2", "c128/s256/p256/2", "c256/s1/p1/2", "c256/s256/p256/2", "c256/s384/p384/2", "g256/p256/2"},
		[]string{"c256 / s1", "c128 / s1", "3des / s1"}, 2, 0,
		"", "", "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024", "AES_CBC_256/HMAC_SHA1_96"},
	{"FortiGate", []string{"c128/s256/p256/14 5", "c256/s256/p256/14 5", "g128/p256/14 5", "g256/p384/14 5", "cp/p256/14 5"},
		[]string{"c128 c256 / s1 s256 / 14 5", "g128 / 14 5", "g256 / 14 5", "cp / 14 5"}, 14, 14,
		"AES_GCM_16_256/PRF_HMAC_SHA2_384/MODP_2048", "AES_GCM_16_256/MODP_2048", "=", "="},
	{"AWS", []string{"c128 c256/s1/p1/2 14 15 16 19 20", "c128 c256/s256/p256/2 14 15 16 19 20", "g128 g256 / p1 p256 p384 p512 / 2 14 15 16 17 18 19 20 21"},
		[]string{"c128 c256 / s1 s256 s384 s512 / 2 5 14 15 16 19", "g128 g256 / 2 5 14 15 16 19"}, 2, 19,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256", "AES_GCM_16_256/ECP_256", "=", "="},
	{"Google", []string{"g128 g192 g256 / p256 p384 p512 p1 / 31 19 20 21 15 16 14 5 2", "c128 c192 c256 / s256 s384 s512 s1 / p256 p384 p512 p1 / 31 19 20 15 14"},
		[]string{"g128 g256 g192 / 31 19 20 14", "c128 c192 c256 / s256 s512 s1 / 31 19 20 14"}, 31, 31,
		"AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519", "AES_GCM_16_256/CURVE25519", "=", "="},
	{"Oracle", []string{"c256 c192 c128/s384/p384/20 5 14 19 2", "c256 c192 c128/s256/p256/20 5 14 19 2", "c256 c192 c128/s1/p1/20 5 14 19 2"},
		[]string{"g256 g192 g128 / 5 2 14 19 20", "c256 c192 c128 / s256 s1 / 5 2 14 19 20"}, 20, 19,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_384", "AES_GCM_16_256/ECP_256", "=", "="},
	{"IBM", []string{"c128 c192 c256/s256/p256/14 15 16 19 31", "c128 c192 c256/s384/p384/14 15 16 19 31"},
		[]string{"c128 c192 c256 / s256 s384 s512 / 0 14 15 19 20 31", "g128 g192 g256 / 0 14 15 19 20 31"}, 14, 31,
		"AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_GCM_16_256/CURVE25519", "=", "="},
	{"NSX", []string{"c128/s256/p256/14"}, []string{"g128 / 14"}, 14, 14,
		"AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_GCM_16_128/MODP_2048", "=", "="},
	{"Huawei", []string{"c128/s256/p256/15"}, []string{"c128 / s256 / 15"}, 15, 15,
		"AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_3072", "AES_CBC_128/HMAC_SHA2_256_128/MODP_3072", "=", "="},
	{"pfSense", []string{"c128/s256/p256/14"}, []string{"c128 / s256 / 14", "g128 / 14"}, 14, 14,
		"AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "AES_GCM_16_128/MODP_2048", "=", "="},
	{"Cisco IOS-XE", []string{"c256/s512/p512/19 14 21 5", "c256/s384/p384/19 14 21 5"}, []string{"c128 / s1"}, 19, 0,
		"AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_256", "", "=", "AES_CBC_128/HMAC_SHA1_96"},
	{"Azure", []string{"c256/s1/p1/2", "c256/s256/p256/2", "c128/s1/p1/2", "c128/s256/p256/2", "3des/s1/p1/2"}, []string{"g256", "c256 / s1", "c256 / s256"}, 2, 0,
		"", "AES_GCM_16_256", "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024", "="},
	{"Juniper standard", []string{"c128/s1/p1/2", "3des/s1/p1/2"}, []string{"3des / s1 / 2", "c128 / s1 / 2"}, 2, 2,
		"", "", "AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024", "AES_CBC_128/HMAC_SHA1_96/MODP_1024"},
	{"Palo Alto", []string{"c128 3des/s1/p1/2"}, []string{"c128 3des / s1 / 2"}, 2, 2,
		"", "", "AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024", "AES_CBC_128/HMAC_SHA1_96/MODP_1024"},
	{"MikroTik", []string{"c128 3des/s1/p1/14 2"}, []string{"c256 c192 c128 / s1 / 2"}, 14, 2,
		"", "", "AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_2048", "AES_CBC_256/HMAC_SHA1_96/MODP_1024"},
	{"VyOS", []string{"c128/s1/p1/2"}, []string{"c128 / s1 / 2"}, 2, 2,
		"", "", "AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024", "AES_CBC_128/HMAC_SHA1_96/MODP_1024"},
}

func TestOurListsMeetWhatPeersOfferByDefault(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		if p.ikeCompat == "=" {
			p.ikeCompat = p.ikeDefault
		}
		if p.espCompat == "=" {
			p.espCompat = p.espDefault
		}
		ike, esp := offer(t, ScopeIKE, p.ike...), offer(t, ScopeESP, p.esp...)
		for _, tt := range []struct{ list, got, want string }{
			{"DefaultIKE", chosen(ScopeIKE, DefaultIKE(), ike, p.ke), p.ikeDefault},
			{"CompatibleIKE", chosen(ScopeIKE, CompatibleIKE(), ike, p.ke), p.ikeCompat},
			{"DefaultESP", chosen(ScopeESP, DefaultESP(), esp, p.pfs), p.espDefault},
			{"CompatibleESP", chosen(ScopeESP, CompatibleESP(), esp, p.pfs), p.espCompat},
		} {
			if tt.got != tt.want {
				t.Errorf("%s, %s: %q, want %q", p.name, tt.list, tt.got, tt.want)
			}
		}
	}
}
