package bench

import (
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/policy"
)

// Setup describes a gateway to its process.
type Setup struct {
	Initiator    bool
	Local, Peer  netip.Addr
	PeerPort     uint16      // where an initiator calls the responder
	Proposal     string      // of the IKE SA
	Version      uint8       // of IKE; 0: 2
	Keys         lab.KeyKind // that both sides sign with; "": they have a pre-shared key
	OutOfProcess bool
	Dir          string        // the gateway's own
	Profile      string        // a folder for CPU profiles; "" for none
	Liveness     time.Duration // idle time before a peer is asked whether it lives; 0: never
	Brief        bool          // what was replaced is kept for briefGrace
	Flooded      bool          // floods are bounded as by default, and peers may come from anywhere
}

const (
	connName  = "peer"
	childName = "net"
	espWords  = "aes128gcm16"
	pskFile   = "psk"
)

// psk is as long as people make them.
const psk = "a pre-shared key of forty octets, or more\n"

// writePSK puts the key where the credential store looks for it.
func (s Setup) writePSK() error {
	return os.WriteFile(filepath.Join(s.Dir, pskFile), []byte(psk), 0o600)
}

// briefGrace is how long what was replaced is kept where many rekeyings are made that in life are hours apart: with the
// default, their leftovers would be what is measured.
const briefGrace = 50 * time.Millisecond

// env is what the SAs of the gateway share.
func (s Setup) env() (*ikev2.Env, error) {
	snapshot, err := s.policy()
	env := &ikev2.Env{Policy: snapshot}
	if s.Brief {
		env.Limits = ikev2.Limits{Grace: briefGrace, Linger: briefGrace}
	}
	return env, err
}

// policy allows one connection.
func (s Setup) policy() (*policy.Snapshot, error) {
	ike, err := policy.ParseProposal(policy.ScopeIKE, s.Proposal)
	if err != nil {
		return nil, err
	}
	esp, err := policy.ParseProposal(policy.ScopeESP, espWords)
	if err != nil {
		return nil, err
	}
	remote := policy.Endpoint{Addr: s.Peer}
	if s.Flooded {
		remote = policy.Endpoint{Prefixes: []netip.Prefix{floodSources}, Identity: policy.AddressIdentity(s.Peer)}
	}
	c := &policy.Connection{
		Name: connName, Version: s.Version, Local: policy.Endpoint{Addr: s.Local}, Remote: remote,
		IKE: []policy.Proposal{ike}, Children: []*policy.Child{{Name: childName, ESP: []policy.Proposal{esp}, RemoteTS: []policy.Selector{policy.SelectorOf(netip.PrefixFrom(s.Peer, s.Peer.BitLen()))}}},
	}
	s.signing(c)
	c.ApplyDefaults()
	c.Liveness = s.Liveness
	c.Unique = policy.UniqueNever
	return &policy.Snapshot{Connections: []*policy.Connection{c}}, nil
}
