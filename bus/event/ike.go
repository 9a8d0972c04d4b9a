package event

import "net/netip"

// IKESA describes an IKE SA in events about it.
type IKESA struct {
	Version  uint8          `json:"version"` // major version, 1 or 2
	Role     string         `json:"role"`    // "initiator" or "responder" of the exchange that made the SA
	SPIi     string         `json:"spi_i"`   // 16 hex digits
	SPIr     string         `json:"spi_r,omitempty"`
	Local    netip.AddrPort `json:"local"`
	Remote   netip.AddrPort `json:"remote"`
	LocalID  string         `json:"local_id,omitempty"` // "fqdn:east.example.net"
	RemoteID string         `json:"remote_id,omitempty"`
	// User is who the user of one of the sides is, as extended authentication of IKEv1 proves it.
	User  string `json:"user,omitempty"`
	Suite string `json:"suite,omitempty"`
	// Fragmentation says that both sides fragment large messages (RFC 7383, or as Microsoft and Cisco do in IKEv1).
	Fragmentation bool `json:"fragmentation,omitempty"`
	// Window is how many requests of ours the peer takes at a time (RFC 7296 section 2.3), if more than one.
	Window uint32 `json:"window,omitempty"`
}

// ChildSA describes a child SA in events about it.
type ChildSA struct {
	UID      UID      `json:"uid"`
	Name     string   `json:"name"`
	SPIIn    string   `json:"spi_in"` // 8 hex digits
	SPIOut   string   `json:"spi_out"`
	Protocol string   `json:"protocol"` // "ESP"
	Mode     string   `json:"mode"`     // "tunnel"
	Suite    string   `json:"suite"`
	LocalTS  []string `json:"local_ts"` // "10.1.0.0/16", "10.1.0.0/16[tcp/80]"
	RemoteTS []string `json:"remote_ts"`
	Encap    bool     `json:"encap"` // ESP in UDP (RFC 3948)
	Backend  string   `json:"backend"`

	BackendReason string   `json:"backend_reason,omitempty"` // why it is in this SA backend
	Handling      []string `json:"handling,omitempty"`       // settings of the data plane that are not the default: "if_id 7"
	Placed        string   `json:"placed,omitempty"`         // where a child that may be given to a device is: "packet offload on eth0", "software"
}

// Traffic counts what crossed a child SA.
type Traffic struct {
	BytesIn    uint64 `json:"bytes_in"`
	BytesOut   uint64 `json:"bytes_out"`
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
}

// IKEInitiated says: we sent, or received, the first IKE_SA_INIT of a new IKE SA.
type IKEInitiated struct {
	IKE IKESA `json:"ike"`
}

// IKEStateChanged says: the machine entered another state.
type IKEStateChanged struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// IKEHalfOpenTimedOut says: the SA was not established within the half-open timeout.
type IKEHalfOpenTimedOut struct {
	IKE   IKESA  `json:"ike"`
	State string `json:"state"` // what it was waiting for
}

// IKEEstablished says: both sides are authenticated.
type IKEEstablished struct {
	IKE            IKESA `json:"ike"`
	InitialContact bool  `json:"initial_contact,omitempty"` // the peer knows of no other IKE SA (RFC 7296 section 2.4)
	Redirected     bool  `json:"redirected,omitempty"`      // it is there to be told of another gateway, and ends (RFC 5685 section 6)
}

// IKEDeleted says: an established IKE SA ended in order.
type IKEDeleted struct {
	IKE    IKESA  `json:"ike"`
	By     string `json:"by"`     // "peer", "operator", "liveness", "error", "replaced", "expired", "redirect"; of a child also "configuration"
	Reason string `json:"reason"` // a sentence
}

// IKEFailed says: an IKE SA ended before it was established, or by an error.
type IKEFailed struct {
	IKE    IKESA  `json:"ike"`
	Stage  string `json:"stage"`            // exchange: "IKE_SA_INIT", "IKE_AUTH", ...
	Cause  Cause  `json:"cause"`            // stable token for programs
	Notify string `json:"notify,omitempty"` // the error notify sent or received, IANA name
	By     string `json:"by"`               // "us" or "peer": who refused
	Reason string `json:"reason"`           // a sentence
}

// Cause is a stable token that says why something failed; explain and metrics key on it.
type Cause string

// Causes of failure.
const (
	CauseNoProposal      Cause = "no_proposal"      // no common transforms
	CauseNoConnection    Cause = "no_connection"    // no connection for these addresses
	CauseUnknownIdentity Cause = "unknown_identity" // no connection expects this identity
	CauseAuthentication  Cause = "authentication"   // wrong key or signature
	CauseNoCredential    Cause = "no_credential"    // we have no key for this identity
	CauseNoSelectors     Cause = "no_selectors"     // traffic selectors do not overlap
	CauseTimeout         Cause = "timeout"          // nothing came back
	CauseHalfOpen        Cause = "half_open"        // the exchange was not finished in time
	CauseMalformed       Cause = "malformed"        // the peer's message breaks the syntax
	CauseUnsupported     Cause = "unsupported"      // critical payload, major version
	CauseInvalidKE       Cause = "invalid_ke"       // the peer asks for a group that we did not offer
	CausePlugin          Cause = "plugin"           // a plugin failed or did not answer
	CauseInstall         Cause = "install"          // the SA backend refused
	CausePeerError       Cause = "peer_error"       // another error notify of the peer
	CauseOperator        Cause = "operator"         // asked to stop
	CauseReplaced        Cause = "replaced"         // another SA took its place
	CauseMode            Cause = "mode"             // tunnel and transport mode
	CauseRedirected      Cause = "redirected"       // the peer sent us to another gateway
	CauseRedirectLoop    Cause = "redirect_loop"    // and did so too often
	CauseDuplicate       Cause = "duplicate"        // another SA of the peer keeps its place
)

// ChildEstablished says: a child SA is installed at our side and answered for.
type ChildEstablished struct {
	Child ChildSA `json:"child"`
}

// ChildDeleted says: a child SA was removed.
type ChildDeleted struct {
	Child   ChildSA `json:"child"`
	By      string  `json:"by"`
	Reason  string  `json:"reason"`
	Traffic Traffic `json:"traffic"`
}

// ChildFailed says: a child SA could not be made; KeptIKE says whether its IKE SA stays (RFC 7296 section 2.21.2).
type ChildFailed struct {
	Name    string `json:"name"`
	Cause   Cause  `json:"cause"`
	Notify  string `json:"notify,omitempty"`
	By      string `json:"by"`
	Reason  string `json:"reason"`
	KeptIKE bool   `json:"kept_ike"`
}

// ChildTSMismatch says: the traffic selectors had nothing in common.
type ChildTSMismatch struct {
	Name          string   `json:"name"`
	OurLocal      []string `json:"our_local"`
	OurRemote     []string `json:"our_remote"`
	OfferedLocal  []string `json:"offered_local"` // what the peer offered for our side
	OfferedRemote []string `json:"offered_remote"`
}

// ChildTSNarrowed says: the selectors in use are fewer than were offered (RFC 7296 section 2.9).
type ChildTSNarrowed struct {
	Name     string   `json:"name"`
	LocalTS  []string `json:"local_ts"`
	RemoteTS []string `json:"remote_ts"`
}

// ChildInstallFailed says: the SA backend refused or did not answer.
type ChildInstallFailed struct {
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Reason  string `json:"reason"`
}

// AuthSucceeded says: the peer proved its identity.
type AuthSucceeded struct {
	Method   string `json:"method"` // IANA name, or "XAUTH"
	RemoteID string `json:"remote_id"`
	User     string `json:"user,omitempty"` // who the peer's user is, with XAUTH
}

// AuthFailed says: a proof was refused, by us or by the peer.
type AuthFailed struct {
	Side     string `json:"side"` // whose proof: "local" (the peer refused ours) or "remote"
	Method   string `json:"method"`
	LocalID  string `json:"local_id"`
	RemoteID string `json:"remote_id"`
	User     string `json:"user,omitempty"` // with XAUTH: whose password it was, "" when nobody was named
	Cause    Cause  `json:"cause"`
	Reason   string `json:"reason"`
}

// AuthMessageReceived says: the server of extended authentication had something to say to the user.
type AuthMessageReceived struct {
	User string `json:"user"`
	Text string `json:"text"` // as the peer sent it, on one line and of at most 512 octets
}

// ProposalMismatch says: no proposal of the peer is acceptable, or the peer accepted none of ours.
type ProposalMismatch struct {
	Scope      string            `json:"scope"` // "ike" or "child"
	By         string            `json:"by"`    // "us": we refused; "peer": the peer refused
	Offered    []string          `json:"offered"`
	Configured []string          `json:"configured"`
	Verdicts   []TransformReport `json:"verdicts,omitempty"` // empty when the peer refused: it does not say why
	Closest    string            `json:"closest,omitempty"`  // the one change that would have helped
}

// TransformReport is the verdict on one kind of transform in one pair of offered and configured proposal.
type TransformReport struct {
	OfferedProposal    int      `json:"offered_proposal"`    // number in the peer's payload
	ConfiguredProposal int      `json:"configured_proposal"` // index in our list, from 1
	Type               string   `json:"type"`                // "ENCR", "PRF", "INTEG", "KE", "ESN"
	Offered            []string `json:"offered"`
	Configured         []string `json:"configured"`
	Common             []string `json:"common"`
	OK                 bool     `json:"ok"`
}

// SuiteChosen says: a proposal was agreed.
type SuiteChosen struct {
	Scope string `json:"scope"` // "ike" or "child"
	Suite string `json:"suite"`
}

// InvalidKE says: the group of the KE payload was not the chosen one; the initiator starts again (RFC 7296 section 1.2).
type InvalidKE struct {
	Sent   string `json:"sent"`
	Wanted string `json:"wanted"`
	By     string `json:"by"`
}

// UnsupportedCritical says: an unknown payload was marked critical (RFC 7296 section 2.5).
type UnsupportedCritical struct {
	Payload uint8 `json:"payload"`
}

// LivenessTimedOut says: an established peer stopped answering.
type LivenessTimedOut struct {
	Sent int    `json:"sent"` // packets without an answer
	For  string `json:"for"`  // duration
}

// Retransmitted says: a request was sent again.
type Retransmitted struct {
	Exchange     string `json:"exchange"`
	MessageID    uint32 `json:"message_id"`
	Attempt      int    `json:"attempt"`                 // 1: the first repetition
	FragmentSize int    `json:"fragment_size,omitempty"` // of IP datagrams in octets, when they became smaller with this repetition
}

// PeerUnreachable says: from this machine no packet can go to the peer; of a connection without an IKE SA, that an attempt could not
// even begin.
type PeerUnreachable struct {
	Remote netip.Addr `json:"remote"` // "" for none
	Reason string     `json:"reason"` // "our address 192.0.2.1 is gone"
}

// PeerReachable says: packets can go to the peer again.
type PeerReachable struct {
	Remote netip.Addr `json:"remote"`
}

// RetransmitTimedOut says: a request was given up.
type RetransmitTimedOut struct {
	Exchange  string         `json:"exchange"`
	MessageID uint32         `json:"message_id"`
	Sent      int            `json:"sent"`
	For       string         `json:"for"`
	Remote    netip.AddrPort `json:"remote"`
	Heard     bool           `json:"heard"` // whether the peer ever answered on this SA
}

// NATDetected says: an address was translated on the way (RFC 7296 section 2.23).
type NATDetected struct {
	Local  bool `json:"local"`  // we are behind a NAT
	Remote bool `json:"remote"` // the peer is
}

// NATMappingChanged says: an authenticated packet came from another address of a peer behind a NAT.
type NATMappingChanged struct {
	Old netip.AddrPort `json:"old"`
	New netip.AddrPort `json:"new"`
}

// CookieRequested says: a peer, or we, asked for a cookie before spending state (RFC 7296 section 2.6).
type CookieRequested struct {
	By string `json:"by"`
}

// CookieThreshold says: the count of half-open SAs crossed the cookie threshold.
type CookieThreshold struct {
	On       bool `json:"on"`
	HalfOpen int  `json:"half_open"`
}

// RateLimited says: first packets were dropped before they cost anything; Count since the last such event.
type RateLimited struct {
	Prefix netip.Prefix `json:"prefix"`
	Count  uint64       `json:"count"`
	Reason string       `json:"reason"`
}

// ParseErrors says: malformed datagrams arrived; Count since the last such event of this source prefix.
type ParseErrors struct {
	Prefix netip.Prefix `json:"prefix"`
	Count  uint64       `json:"count"`
	Reason string       `json:"reason"` // of the last one
}

// IntegrityFailed says: a protected message did not verify; Count since the last such event of the SA.
type IntegrityFailed struct {
	Remote netip.AddrPort `json:"remote"`
	Count  uint64         `json:"count"`
}

// FragmentFailed says: a message that came in fragments (RFC 7383, or those of IKEv1) was dropped before it was complete.
type FragmentFailed struct {
	Exchange  string `json:"exchange"`
	MessageID uint32 `json:"message_id"`
	Received  int    `json:"received"` // fragments
	Total     int    `json:"total"`
	Reason    string `json:"reason"`
}

// NotifyReceived says: the peer sent a notify that has no event of its own.
type NotifyReceived struct {
	Exchange string `json:"exchange"`
	Notify   string `json:"notify"`
}

// AddressChanged says: an IKE SA goes over other addresses (RFC 4555). Its children follow.
type AddressChanged struct {
	OldLocal  netip.AddrPort `json:"old_local"`
	NewLocal  netip.AddrPort `json:"new_local"`
	OldRemote netip.AddrPort `json:"old_remote"`
	NewRemote netip.AddrPort `json:"new_remote"`
}

// RoutabilityFailed says: a peer is not where it says that it is, or something between us changes addresses (RFC 4555 sections
// 3.7 and 3.9).
type RoutabilityFailed struct {
	Remote netip.AddrPort `json:"remote"`
	Reason string         `json:"reason"`
}

// ChildPlaced says: a child that may be given to a device is carried as Child.Placed says.
type ChildPlaced struct {
	Child  ChildSA `json:"child"`
	Reason string  `json:"reason,omitempty"` // why not where more would be done: "eth0 refused packet offload: no space in SA table"
}

// ChildLost says: an SA backend has a child no more, though nobody asked for its removal.
type ChildLost struct {
	Child ChildSA `json:"child"`
}
