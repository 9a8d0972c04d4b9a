package ikev1

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// blockLen is the size of what the fake encryption gives for anything: as many octets as RSA with 1024 bits.
const blockLen = 128

// protect is a fake encryption: whom it is for, and what.
func (n *node) protect(op machine.Protect) (machine.Result, *machine.CallError) {
	if bytes.Contains(op.Remote.Data, []byte("stranger")) {
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "rsaenc: no public key"}
	}
	out := machine.Protected{Key: op.Remote.Data, Certs: [][]byte{op.Local.Data}}
	for _, p := range op.Plain {
		block := sha256.Sum256(op.Remote.Data)
		c := append(block[:], byte(len(p)))
		c = append(c, p...)
		out.Cipher = append(out.Cipher, append(c, make([]byte, blockLen-len(c))...))
	}
	return out, nil
}

// unprotect gives a hash of what is not for us, or was changed: as short as no nonce is, or longer.
func (n *node) unprotect(op machine.Unprotect) machine.Unprotected {
	var out machine.Unprotected
	whom := sha256.Sum256([]byte(n.conn.Local.Identity.Data))
	for _, c := range op.Cipher {
		plain := secret.Bytes(nil)
		switch synthetic := sha256.Sum256(c); {
		case len(c) == blockLen && bytes.Equal(c[:len(whom)], whom[:]) && len(bytes.TrimRight(c[33+int(c[32]):], "\x00")) == 0:
			plain = bytes.Clone(c[33 : 33+int(c[32])])
		default:
			plain = bytes.Clone(synthetic[:int(synthetic[0])%len(synthetic)])
		}
		out.Plain = append(out.Plain, plain)
	}
	return out
}

// mangle changes the last octet of one payload of a packet in flight, by its name: "NONCE".
func (p *player) mangle(i int, name string) {
	p.t.Helper()
	b := slices.Clone(p.flight[i].Bytes)
	h, _ := wire.ParseHeader(b)
	chain := wire.NewChain(h.NextPayload, b[wire.HeaderLen:], wire.HeaderLen)
	for raw, ok := chain.Next(); ok; raw, ok = chain.Next() {
		if wire1.PayloadName(raw.Type) == name {
			b[raw.Offset+wire.PayloadHeaderLen+len(raw.Body)-1] ^= 1
			p.flight[i].Bytes = b
			return
		}
	}
	p.t.Fatalf("no payload %q", name)
}

// answers plays a main mode whose third message is changed, and renders all that the responder sends from then on, with its lengths
// and times.
func answers(t *testing.T, auth string, change func(*player)) (out []string) {
	t.Helper()
	p := &player{newWorld(t)}
	p.quiet = true
	p.makeNodes([]string{"auth=" + auth})
	p.initiate("a", nil)
	for range 2 {
		for p.answerCalls() {
		}
		p.deliver(0)
	}
	for p.answerCalls() {
	}
	change(p)
	p.deliver(0)
	for p.answerCalls() {
	}
	note := func() {
		for i := 0; i < len(p.flight); i++ {
			if d := p.flight[i]; d.from.node.name == "b" {
				out = append(out, fmt.Sprintf("%v: %s of %d octets", p.now.Sub(epoch), d.from.renderSend(d.Send), len(d.Bytes)))
			}
		}
		p.flight = nil
	}
	note()
	p.arrive(datagram{from: p.sa("a1"), Send: machine.Send{Local: p.sa("a1").local, Remote: p.sa("a1").remote, Bytes: p.guess()}}) // a fifth message without the keys
	p.pass(40*1e9, note)
	p.checkEnd()
	return out
}

// guess is an encrypted message of who does not know the keys.
func (p *player) guess() []byte {
	h := p.sa("a1").header(wire1.MainMode, 0)
	_, h.ResponderSPI = p.sa("b1").Cookies()
	h.NextPayload, h.Flags = wire1.TypeHash, wire1.FlagEncryption
	return wire1.Message{Header: h, Cipher: bytes.Repeat([]byte{7}, 48)}.Append(nil)
}

// Whatever a ciphertext decrypts to, good padding or bad, long or short: a stranger sees the same number of answers, of the same lengths,
// at the same times.
func TestAnswersToNoncesDoNotTellHowTheyWereEncrypted(t *testing.T) {
	t.Parallel()
	want := answers(t, "rsaenc", func(*player) {})
	if len(want) != 1 {
		t.Fatalf("a good nonce is answered by %q", want)
	}
	for n := range 300 {
		got := answers(t, "rsaenc", func(p *player) { p.overwrite(0, "NONCE", n) })
		if !slices.Equal(got, want) {
			t.Fatalf("nonce %d is answered by %q, a good one by %q", n, got, want)
		}
	}
}

// An identity that was not decrypted is answered as one that nobody knows: by nothing. In the revised mode everything follows from
// the nonce, so that a wrong one is as silent.
func TestWhatIsNotDecryptedIsAnsweredBySilence(t *testing.T) {
	t.Parallel()
	for auth, payload := range map[string]string{"rsaenc": "ID", "rsaenc-revised": "NONCE"} {
		for n := range 100 {
			if got := answers(t, auth, func(p *player) { p.overwrite(0, payload, n) }); len(got) > 0 {
				t.Fatalf("%s %d of %s is answered by %q", payload, n, auth, got)
			}
		}
	}
}

// overwrite puts a well encrypted body of n octets in the place of a payload's, as an attacker can; from 95 on, one that is badly
// encrypted.
func (p *player) overwrite(i int, name string, n int) {
	p.mangle(i, name)
	if n >= blockLen-33 {
		p.replaceBody(i, name, append(bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 16), make([]byte, blockLen-32)...))
		return
	}
	whom := sha256.Sum256([]byte(p.node("b").conn.Local.Identity.Data))
	block := append(whom[:], byte(n))
	block = append(block, bytes.Repeat([]byte{0xee}, n)...)
	p.replaceBody(i, name, append(block, make([]byte, blockLen-len(block))...))
}

// replaceBody puts octets in the place of a payload's body, as many as it has.
func (p *player) replaceBody(i int, name string, body []byte) {
	h, _ := wire.ParseHeader(p.flight[i].Bytes)
	chain := wire.NewChain(h.NextPayload, p.flight[i].Bytes[wire.HeaderLen:], wire.HeaderLen)
	for raw, ok := chain.Next(); ok; raw, ok = chain.Next() {
		if wire1.PayloadName(raw.Type) == name {
			copy(p.flight[i].Bytes[raw.Offset+wire.PayloadHeaderLen:], body)
		}
	}
}

// RFC2409-5-8: 8 to 256 octets. An encrypted nonce of another length fails with the proof, however right that is.
func TestAProofOverANonceThatIsNoneIsWrong(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.quiet = true
	p.makeNodes([]string{"auth=rsaenc"})
	p.initiate("a", nil)
	p.run()
	x := p.sa("b1").SA.phase1
	right := packet{Message: wire1.Message{Payloads: []wire1.Payload{wire1.Hash{Data: x.proof(true, *x.peerID)}}}}
	if x.short || !x.checkHash(right) {
		t.Fatal("the right proof of a good nonce is refused")
	}
	x.short = true
	if x.checkHash(right) {
		t.Error("it is accepted for a nonce that is none")
	}
}

func TestTheLengthOfAnEncryptedNonceIsNoted(t *testing.T) {
	t.Parallel()
	for n, short := range map[int]bool{0: true, 7: true, 8: false, 64: false} {
		p := &player{newWorld(t)}
		p.quiet = true
		p.makeNodes([]string{"auth=rsaenc"})
		p.initiate("a", nil)
		for range 2 {
			for p.answerCalls() {
			}
			p.deliver(0)
		}
		for p.answerCalls() {
		}
		p.overwrite(0, "NONCE", n)
		p.deliver(0)
		for p.answerCalls() {
		}
		if got := p.sa("b1").SA.phase1.short; got != short {
			t.Errorf("%d octets: %v", n, got)
		}
	}
}
