package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// peer is a daemon of another make at west, with one tunnel to east configured. What begins something returns when the peer
// says that it is done, or an error with what the peer said.
type peer interface {
	Up(ctx context.Context) error         // begins the tunnel
	UpSecond(ctx context.Context) error   // begins the second child of terms.second
	UpBoth(ctx context.Context) error     // begins the tunnel with both children at once
	DownChild(ctx context.Context) error  // deletes the child SA alone
	DownIKE(ctx context.Context) error    // deletes the IKE SA
	RekeyChild(ctx context.Context) error // has the child SA replaced
	RekeyIKE(ctx context.Context) error   // has the IKE SA replaced
	Reauth(ctx context.Context) error     // has the IKE SA replaced by one from the start
	IKESAs(ctx context.Context) int       // how many are established
	Kill()                                // ends it at once, telling nobody
	Stop()
	Log() string
}

// unable is why a peer does not do something; the table shows it.
type unable string

func (u unable) Error() string { return string(u) }

// suite is one choice of algorithms in every notation. An empty one is the default.
type suite struct {
	charonIKE, charonESP string // swanctl.conf
	plutoIKE, plutoESP   string // ipsec.conf
	ikedIKE, ikedESP     string // iked.conf
	want                 string // of the IKE suite in `parley sa list -o wide`
}

// terms are what a peer is configured with.
type terms struct {
	suite
	secret       string        // empty: the right one
	own          *lab.Identity // it and we authenticate by signatures; nil: by the secret
	ecdsa        bool          // with ECDSA
	net, peerNet string        // what it protects, and what it believes that we protect; empty: the right ones
	anyAddress   bool          // it does not know ours
	liveness     time.Duration // 0: it does not ask whether we live
	cookies      bool          // it asks everybody for a cookie
	begins       bool          // it begins, once it is told to
	mobike       bool          // its SAs may move
	rekeysChild  bool          // it replaces the child SA after some seconds if it cannot be told to
	rekeysIKE    bool          // and the IKE SA
	longNames    bool          // both sides have names that make messages long, which it sends in fragments
	gives        bool          // it gives inner addresses of innerPool
	asks         bool          // it asks for an inner address
	pushes       bool          // in IKEv1, who gives inner addresses sets them
	childless    bool          // it begins without a child
	esn          bool          // its child wants extended sequence numbers
	transport    bool          // its child is in transport mode, between the gateways
	ikev1        bool          // it speaks IKEv1
	aggressive   bool          // in aggressive mode
	pfs          bool          // with perfect forward secrecy for its IPsec SAs
	userspace    bool          // it carries ESP itself, if it can
	second       bool          // it has a second child, "dmz", between what is behind the gateways at dmzNets
}

// dmzNets are the networks of the second child, ours and the peer's; dmzHosts are in them.
var (
	dmzNets  = [2]string{"10.3.0.0/16", "10.4.0.0/16"}
	dmzHosts = [2]string{"10.3.0.1", "10.4.0.1"}
)

// innerPool is where peers take the addresses from that they give.
const innerPool = "10.9.0.0/24"

// longName makes an IKE_AUTH message too long for one packet of the size that every network takes.
var (
	longName = strings.Repeat("a-long-name-for-large-messages.", 7)
	longEast = longName + "east.example.net"
	longWest = longName + "west.example.net"
)

// maker makes the daemons of one make.
type maker struct {
	name, version string
	packages      lab.Packages
	start         func(ctx context.Context, s *site, root lab.Root, dir string, values settings, c terms) (peer, error)
}

var makers = []maker{
	{"strongSwan", "5.9.8", lab.StrongSwanPackages, startCharon},
	{"Libreswan", "4.10", lab.LibreswanPackages, startPluto},
	{"OpenIKED", "7.2", lab.OpenIKEDPackages, startIked},
}

// newPeer starts a peer in west.
func (x *match) newPeer(t *testing.T, c terms) peer {
	t.Helper()
	root, err := lab.Unpack(x.packages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no %s: %v", x.name, err)
	}
	values := x.values(x.west, settings{"SECRET", orDefault(c.secret, secretKey)})
	if c.longNames {
		values = values.with("ID", longWest).with("PEERID", longEast)
	}
	for name, value := range map[string]string{"NET": c.net, "PEERNET": c.peerNet} {
		if value != "" {
			values = values.with(name, value)
		}
	}
	p, err := x.maker.start(short(t), x.site, root, filepath.Join(x.dir, "peer"), values, c)
	x.can(t, err)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", x.name, p.Log())
		}
	})
	return p
}

// with returns settings in which a name has another value.
func (s settings) with(name, value string) settings {
	all := slices.Clone(s)
	for i := 0; i < len(all); i += 2 {
		if all[i] == name {
			all[i+1] = value
			return all
		}
	}
	return append(all, name, value)
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// seconds renders a duration for configurations that count in seconds, 0 for none.
func seconds(d time.Duration) string { return fmt.Sprint(int(d.Round(time.Second) / time.Second)) }

// choose is a if it is so, else b.
func choose(so bool, a, b string) string {
	if so {
		return a
	}
	return b
}

// said joins an error with what a program printed.
func said(out string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
