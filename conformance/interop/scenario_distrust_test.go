package interop

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// distrust is a certificate of the peer that does not convince us, and what we say of it.
type distrust struct {
	issue func(t *testing.T, x *match, p pki, kind lab.KeyKind) lab.Holder
	says  []string
	of    map[string][]string // of a peer of a make of which we say something else
}

var (
	expired   = distrust{issueExpiring, []string{"west: the peer's proof does not convince us: the certificate of CN=west.example.net,O=Example expired on", "> have the peer renew its certificate"}, nil}
	untrusted = distrust{
		func(t *testing.T, _ *match, _ pki, kind lab.KeyKind) lab.Holder {
			other, err := lab.NewAuthority("Another CA", kind)
			must(t, err)
			return issueKind(t, other, "west.example.net", kind, day)
		},
		[]string{"no authority here vouches for the certificate of CN=west.example.net,O=Example, issued by CN=Another CA",
			"> if that authority is to be trusted, add credentials", "east/parley.hcl:11"},
		nil,
	}
	misnamed = distrust{
		func(t *testing.T, _ *match, p pki, kind lab.KeyKind) lab.Holder {
			return issueKind(t, p.ca, "north.example.net", kind, day)
		},
		[]string{"the peer says that it is fqdn:west.example.net, but its certificate is for fqdn:north.example.net",
			"> expect the peer by an identity of its certificate", "east/parley.hcl:3"},
		map[string][]string{
			// It sends its bare key when it has no certificate for its identity.
			"OpenIKED": {"west: the peer sent its certificate in encoding 201", "> have the peer get an X.509 certificate for fqdn:west.example.net", "east/parley.hcl:3"},
		},
	}
)

// expiresSoon is longer than a peer needs to load its certificate on a busy machine.
const expiresSoon = 30 * time.Second

// issueExpiring makes a certificate that has expired, or expires after a peer that refuses to load such a one has loaded it.
func issueExpiring(t *testing.T, x *match, p pki, kind lab.KeyKind) lab.Holder {
	if x.name != "Libreswan" {
		return issueKind(t, p.ca, "west.example.net", kind, -time.Hour)
	}
	x.notBefore = time.Now().Add(expiresSoon)
	return issueKind(t, p.ca, "west.example.net", kind, expiresSoon)
}

// distrustedFor: no tunnel comes up, because the peer's certificate does not convince us, and `parley explain` says why (RFC 4945
// section 3.1 of the identity, RFC 5280 section 6.1.3 of the rest).
func distrustedFor(d distrust, kind lab.KeyKind) func(*testing.T, *match) {
	return func(t *testing.T, x *match) {
		x.place(t, newSite(t, v4in4))
		p := newPKI(t, kind)
		p.west = d.issue(t, x, p, kind)
		x.startSigned(t, kind, p, terms{})
		says := d.says
		if special, ok := d.of[x.name]; ok {
			says = special
		}
		time.Sleep(time.Until(x.notBefore) + time.Second)
		x.refused(t, says, says)
		x.noStates(t)
	}
}
