package pluginhost

import (
	"bytes"
	"net/netip"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	kev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/ke/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

var everyOp = []machine.Op{
	machine.KEInitiate{Method: 31}, machine.KERespond{Method: 31, Peer: []byte{1}}, machine.KEFinish{Method: 31}, machine.Sign{Auth: "psk"},
	machine.Verify{Auth: "psk"}, machine.Authenticate{}, machine.AllocateSPI{}, machine.FreeSPI{}, machine.InstallChild{}, machine.UpdateChild{}, machine.RemoveChild{}, machine.QueryUsage{},
	machine.SKEYID{Auth: "psk"}, machine.Protect{Auth: "rsaenc"}, machine.Unprotect{Auth: "rsaenc"}, machine.CheckPassword{User: "alice"},
	machine.OwnPassword{User: "alice"},
}

func TestEveryOperationHasARequest(t *testing.T) {
	t.Parallel()
	seen := map[basev1.Op]bool{}
	for _, op := range everyOp {
		where, code, message := encode(op, "owner")
		if message == nil || code == 0 || where.kind == "" || seen[code] {
			t.Errorf("%T: %v %v %v", op, where, code, message)
		}
		seen[code] = true
	}
}

func TestLiesAreErrors(t *testing.T) {
	t.Parallel()
	identity := &credv1.Identity{Type: 2, Data: []byte("west")}
	sizes := &basev1.KEMethod{PublicLen: 2, ResponseLen: 3, SecretLen: 4}
	for name, c := range map[string]struct {
		op     machine.Op
		answer proto.Message
		ok     bool
	}{
		"initiate":               {machine.KEInitiate{}, &kev1.InitiateResponse{State: []byte{1}, Public: []byte{1, 2}}, true},
		"no state":               {machine.KEInitiate{}, &kev1.InitiateResponse{Public: []byte{1, 2}}, false},
		"long public":            {machine.KEInitiate{}, &kev1.InitiateResponse{State: []byte{1}, Public: []byte{1, 2, 3}}, false},
		"respond":                {machine.KERespond{}, &kev1.RespondResponse{Public: []byte{1, 2, 3}, Secret: []byte{1, 2, 3, 4}}, true},
		"no secret":              {machine.KERespond{}, &kev1.RespondResponse{Public: []byte{1, 2, 3}}, false},
		"finish":                 {machine.KEFinish{}, &kev1.FinishResponse{Secret: []byte{1, 2, 3, 4}}, true},
		"short secret":           {machine.KEFinish{}, &kev1.FinishResponse{Secret: []byte{1, 2, 3}}, false},
		"sign":                   {machine.Sign{}, &authv1.SignResponse{Method: 2, Data: []byte{1}}, true},
		"method of two octets":   {machine.Sign{}, &authv1.SignResponse{Method: 256, Data: []byte{1}}, false},
		"no method":              {machine.Sign{}, &authv1.SignResponse{Data: []byte{1}}, false},
		"no proof":               {machine.Sign{}, &authv1.SignResponse{Method: 2}, false},
		"empty certificate":      {machine.Sign{}, &authv1.SignResponse{Method: 2, Data: []byte{1}, Certificates: [][]byte{{}}}, false},
		"many certificates":      {machine.Sign{}, &authv1.SignResponse{Method: 2, Data: []byte{1}, Certificates: make([][]byte, 33)}, false},
		"verify":                 {machine.Verify{}, &authv1.VerifyResponse{Remote: identity}, true},
		"SKEYID":                 {machine.SKEYID{}, &authv1.SKEYIDResponse{Skeyid: []byte{1}}, true},
		"no SKEYID":              {machine.SKEYID{}, &authv1.SKEYIDResponse{}, false},
		"protected":              {machine.Protect{Plain: make([]secret.Bytes, 1)}, &authv1.ProtectResponse{Cipher: [][]byte{{1}}, Key: []byte{1}}, true},
		"a ciphertext missing":   {machine.Protect{Plain: make([]secret.Bytes, 2)}, &authv1.ProtectResponse{Cipher: [][]byte{{1}}, Key: []byte{1}}, false},
		"an empty ciphertext":    {machine.Protect{Plain: make([]secret.Bytes, 1)}, &authv1.ProtectResponse{Cipher: [][]byte{{}}, Key: []byte{1}}, false},
		"protected by nothing":   {machine.Protect{Plain: make([]secret.Bytes, 1)}, &authv1.ProtectResponse{Cipher: [][]byte{{1}}}, false},
		"our certificate empty":  {machine.Protect{}, &authv1.ProtectResponse{Key: []byte{1}, Certificates: [][]byte{{}}}, false},
		"unprotected":            {machine.Unprotect{Cipher: [][]byte{{1, 2}}}, &authv1.UnprotectResponse{Plain: [][]byte{{}}}, true},
		"a plaintext missing":    {machine.Unprotect{Cipher: [][]byte{{1, 2}}}, &authv1.UnprotectResponse{}, false},
		"a plaintext too long":   {machine.Unprotect{Cipher: [][]byte{{1, 2}}}, &authv1.UnprotectResponse{Plain: [][]byte{{1, 2}}}, false},
		"password checked":       {machine.CheckPassword{}, &credv1.CheckPasswordResponse{}, true},
		"our password":           {machine.OwnPassword{}, &credv1.OwnPasswordResponse{Password: []byte("sesame")}, true},
		"no password":            {machine.OwnPassword{}, &credv1.OwnPasswordResponse{}, false},
		"a book for a password":  {machine.OwnPassword{}, &credv1.OwnPasswordResponse{Password: make([]byte, 1025)}, false},
		"nobody verified":        {machine.Verify{}, &authv1.VerifyResponse{}, false},
		"giant identity":         {machine.Verify{}, &authv1.VerifyResponse{Remote: &credv1.Identity{Type: 2, Data: make([]byte, 1<<16)}}, false},
		"signed but not checked": {machine.Authenticate{}, &authv1.AuthenticateResponse{Signed: &authv1.SignResponse{Method: 2, Data: []byte{1}}}, false},
		"checked but not signed": {machine.Authenticate{}, &authv1.AuthenticateResponse{Verified: &authv1.VerifyResponse{Remote: identity}}, false},
		"SPI":                    {machine.AllocateSPI{}, &sav1.AllocateSPIResponse{Spi: 256}, true},
		"reserved SPI":           {machine.AllocateSPI{}, &sav1.AllocateSPIResponse{Spi: 255}, false}, // RFC 4303 section 2.1
	} {
		body, err := proto.Marshal(c.answer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(c.op, sizes, body); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAChildSurvivesTheWayThereAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			if rapid.Bool().Draw(t, "v6") {
				return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a")))
			}
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "a")))
		})
		selector := rapid.Custom(func(t *rapid.T) machine.Selector {
			return machine.Selector{
				Protocol: rapid.Uint8().Draw(t, "protocol"), StartPort: rapid.Uint16().Draw(t, "start"), EndPort: rapid.Uint16().Draw(t, "end"),
				Start: addr.Draw(t, "from"), End: addr.Draw(t, "to"),
			}
		})
		want := machine.ChildSA{
			UID: event.UID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid")), Backend: "b", Conn: "c", Name: "n", ReqID: rapid.Uint32().Draw(t, "reqid"),
			SPIIn: rapid.Uint32Min(256).Draw(t, "in"), SPIOut: rapid.Uint32().Draw(t, "out"), Mode: machine.Mode(rapid.IntRange(0, 1).Draw(t, "mode")),
			Local: addr.Draw(t, "local"), Remote: addr.Draw(t, "remote"), LocalPort: rapid.Uint16().Draw(t, "lp"), RemotePort: rapid.Uint16().Draw(t, "rp"),
			Encap: rapid.Bool().Draw(t, "encap"), Encr: rapid.Uint16().Draw(t, "encr"), KeyBits: rapid.Uint16().Draw(t, "bits"), Integ: rapid.Uint16().Draw(t, "integ"),
			ESN: rapid.Bool().Draw(t, "esn"), ReplayWindow: rapid.Uint32().Draw(t, "window"), LocalTS: rapid.SliceOfN(selector, 1, 3).Draw(t, "ts"), RemoteTS: rapid.SliceOfN(selector, 1, 3).Draw(t, "tsr"),
		}
		got, err := toChild(fromChild(&want, "owner"), "b")
		if err != nil {
			t.Fatal(err)
		}
		a, _ := proto.MarshalOptions{Deterministic: true}.Marshal(fromChild(&want, ""))
		b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(fromChild(&got, ""))
		if !bytes.Equal(a, b) || got.Backend != want.Backend {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzDecode: whatever a plugin answers, decode does not panic, and what it accepts is within the bounds.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), []byte{10, 1, 65, 18, 1, 66})
	f.Add(uint8(6), []byte{8, 255, 1})
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		result, err := decode(everyOp[int(n)%len(everyOp)], nil, body)
		if spi, ok := result.(machine.AllocatedSPI); ok && err == nil && spi.SPI < minSPI {
			t.Errorf("SPI %d was accepted", spi.SPI)
		}
		var list sav1.ListResponse
		if proto.Unmarshal(body, &list) == nil {
			for _, c := range list.GetChildren() {
				_, _ = toChild(c, "b")
			}
		}
	})
}
