package machine

import "github.com/parley-ike/parley/sdk/secret"

// SKEYID asks an authenticator for the key that an IKEv1 exchange with pre-shared keys begins with: prf(pre-shared key, Ni_b |
// Nr_b) of RFC 2409 section 5. In main mode Remote is what the peer's address says, because its identity is not known yet
// (section 5.4). Other ways of authentication need no long-term secret for it. Answer: SKEYIDDerived.
type SKEYID struct {
	Auth          string // the connection's setting, "psk"; chooses the plugin
	Local, Remote Identity
	PRF           uint16 // IKEv2 transform ID
	Data          []byte // Ni_b | Nr_b
}

// SKEYIDDerived carries SKEYID, as long as the PRF's output.
type SKEYIDDerived struct{ Value secret.Bytes }

func (SKEYID) op()            {}
func (SKEYIDDerived) result() {}
