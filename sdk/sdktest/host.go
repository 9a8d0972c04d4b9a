package sdktest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	"github.com/parley-ike/parley/sdk/serve"
)

// SetHost gives the authenticators under test a host; every cred.Plugin is one, PSKs for instance.
func (c *Client) SetHost(h cred.Plugin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.host = h
}

// asked answers a call of the plugin to its host.
func (c *Client) asked(f *basev1.Frame) {
	reply := &basev1.Frame{Id: f.GetId(), Reply: true}
	body, err := c.answer(f)
	if err != nil {
		reply.Error = codec.FromError(err)
	} else {
		reply.Body = body
	}
	_ = c.sender.Push(reply)
}

func (c *Client) answer(f *basev1.Frame) ([]byte, error) {
	c.mu.Lock()
	host := c.host
	c.mu.Unlock()
	if f.GetOp()/100 != uint32(basev1.Op_OP_CRED_FIND)/100 {
		return nil, fmt.Errorf("%w: a plugin may not ask its host for operation %d", sdk.ErrRefused, f.GetOp())
	}
	if host == nil {
		return nil, fmt.Errorf("%w: the test has no host; call SetHost", sdk.ErrNoCredential)
	}
	return serve.AnswerCred(context.Background(), host, basev1.Op(f.GetOp()), f.GetBody())
}

// PSKs is a credential store for tests: pre-shared keys by the octets of the remote identity.
type PSKs map[string]string

var _ cred.Plugin = PSKs{}

// Find implements cred.Plugin.
func (p PSKs) Find(_ context.Context, q cred.Query) ([]cred.Ref, error) {
	if _, ok := p[string(q.Remote.Data)]; !ok || q.Purpose != cred.PSK {
		return nil, fmt.Errorf("%w for %q in the test's PSKs", sdk.ErrNoCredential, q.Remote.Data)
	}
	return []cred.Ref{{ID: string(q.Remote.Data), Source: "the test"}}, nil
}

// prfs are the pseudorandom functions by their IANA transform IDs.
var prfs = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

// MAC implements cred.Plugin with the AUTH value of RFC 7296 section 2.15 and the SKEYID of RFC 2409 section 5.
func (p PSKs) MAC(_ context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	key, ok := p[string(q.Remote.Data)]
	if !ok {
		return nil, fmt.Errorf("%w for %q in the test's PSKs", sdk.ErrNoCredential, q.Remote.Data)
	}
	var out [][]byte
	for _, m := range macs {
		prf := prfs[m.PRF]
		if prf == nil || m.Scheme != cred.IKEv2Auth && m.Scheme != cred.IKEv1SKEYID {
			return nil, fmt.Errorf("%w: scheme %d with PRF %d", sdk.ErrUnsupported, m.Scheme, m.PRF)
		}
		if m.Scheme == cred.IKEv1SKEYID {
			out = append(out, sum(prf, []byte(key), m.Data))
			continue
		}
		padded := sum(prf, []byte(key), []byte("Key Pad for IKEv2"))
		out = append(out, sum(prf, padded, m.Data))
	}
	return out, nil
}

func sum(h func() hash.Hash, key, data []byte) []byte {
	mac := hmac.New(h, key)
	mac.Write(data)
	return mac.Sum(nil)
}
