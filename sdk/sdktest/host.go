package sdktest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// SetHost gives the authenticators under test a host; every cred.Plugin is one, PSKs for instance.
func (c *Client) SetHost(h auth.Host) {
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
	if basev1.Op(f.GetOp()) != basev1.Op_OP_CRED_MAC {
		return nil, fmt.Errorf("%w: a plugin may not ask its host for operation %d", sdk.ErrRefused, f.GetOp())
	}
	if host == nil {
		return nil, fmt.Errorf("%w: the test has no host; call SetHost", sdk.ErrNoCredential)
	}
	var r credv1.MACRequest
	if err := proto.Unmarshal(f.GetBody(), &r); err != nil {
		return nil, fmt.Errorf("%w: %w", sdk.ErrInvalid, err)
	}
	query, err := codec.ToQuery(r.GetQuery())
	if err != nil {
		return nil, err
	}
	macs, err := codec.ToMACs(r.GetMacs())
	if err != nil {
		return nil, err
	}
	values, err := host.MAC(context.Background(), query, macs)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&credv1.MACResponse{Macs: values})
}

// PSKs is a credential store for tests: pre-shared keys by the octets of the remote identity.
type PSKs map[string]string

var _ auth.Host = PSKs{}

// prfs are the pseudorandom functions by their IANA transform IDs.
var prfs = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

// MAC implements auth.Host with the AUTH value of RFC 7296 section 2.15 and the SKEYID of RFC 2409 section 5.
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
