package control_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testConfig = `connection "west" {
  local  { identity = "east.example.net" }
  remote {
    address  = "192.0.2.2"
    identity = "west.example.net"
  }
  proposals = ["aes256gcm16-prfsha256-x25519-ecp256"]
  child "lan" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.2.0.0/16"]
  }
}
connection "any" {
  local  { identity = "east.example.net" }
  remote { identity = "*.branch.example.net" }
  child "branch" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.3.0.0/24"]
  }
}
credentials {
  psk "west.example.net"     { file = "west.psk" }
  psk "*.branch.example.net" { file = "branch.psk" }
}
`

// snapshot returns testConfig.
func snapshot(t *testing.T) *config.Snapshot {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"west.psk", "branch.psk"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a real key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse("/etc/parley/parley.hcl", []byte(testConfig), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	begin   = time.Date(2026, 11, 21, 1, 53, 33, 0, time.UTC)
	uid1    = event.UID{0x01, 0x93, 0xf2, 0xa0, 0, 1, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}
	uid2    = event.UID{0x01, 0x93, 0xf2, 0xa0, 0, 1, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 2}
	ours    = netip.MustParseAddrPort("192.0.2.1:500")
	theirs  = netip.MustParseAddrPort("192.0.2.2:500")
	theirsN = netip.MustParseAddrPort("192.0.2.2:4500")
)

func initiated() event.IKESA {
	return event.IKESA{Version: 2, Role: "initiator", SPIi: "0102030405060708", Local: ours, Remote: theirs}
}

func asked() event.IKESA {
	sa := initiated()
	sa.Role, sa.SPIr = "responder", "1112131415161718"
	return sa
}

// known is an IKE SA whose identities are told.
func known(sa event.IKESA, peer string) event.IKESA {
	sa.LocalID, sa.RemoteID, sa.Suite = "fqdn:east.example.net", peer, suite
	return sa
}

// phase1 is an SA of IKEv1.
func phase1(sa event.IKESA) event.IKESA {
	sa.Version = 1
	return sa
}

const suite1 = "AES_CBC_256/PRF_HMAC_SHA2_256/MODP_2048"

const suite = "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519"

// story is the events of one IKE SA.
type story struct {
	uid    event.UID
	conn   string
	events []event.Event
}

const west = "fqdn:west.example.net"

var failSite = struct{ ike, auth string }{"IKE_SA_INIT", "IKE_AUTH"}

func failedBy(by string, sa event.IKESA, stage string, cause event.Cause, notify, reason string) event.IKEFailed {
	return event.IKEFailed{IKE: sa, Stage: stage, Cause: cause, Notify: notify, By: by, Reason: reason}
}

// stories are what the machines tell in each kind of failure. They are named after the verdict's code.
var stories = map[string][]story{
	"wrong_key responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.IKEStateChanged{From: "half-open", To: "verifying"},
		event.AuthFailed{Side: "remote", Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", LocalID: "fqdn:east.example.net", RemoteID: west, Cause: event.CauseAuthentication, Reason: "the proof of fqdn:west.example.net is wrong: with pre-shared keys, the two sides have different keys (psk: the proof does not verify)"},
		failedBy("us", known(asked(), west), failSite.auth, event.CauseAuthentication, "AUTHENTICATION_FAILED", "the proof of fqdn:west.example.net is wrong: with pre-shared keys, the two sides have different keys (psk: the proof does not verify)"),
	}}},
	"auth_refused initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.AuthFailed{Side: "local", LocalID: "fqdn:east.example.net", RemoteID: west, Cause: event.CauseAuthentication, Reason: "the peer refused to authenticate us as fqdn:east.example.net: compare the pre-shared key and the identities on both sides; the peer's log knows which"},
		failedBy("peer", known(initiated(), west), failSite.auth, event.CauseAuthentication, "AUTHENTICATION_FAILED", "the peer refused to authenticate us as fqdn:east.example.net: compare the pre-shared key and the identities on both sides; the peer's log knows which"),
	}}},
	"auth_refused responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.IKEEstablished{IKE: known(asked(), west)},
		event.ChildEstablished{Child: lan()},
		event.NotifyReceived{Exchange: "INFORMATIONAL", Notify: "AUTHENTICATION_FAILED"},
		event.AuthFailed{Side: "local", LocalID: "fqdn:east.example.net", RemoteID: west, Cause: event.CauseAuthentication, Reason: "the peer refused to authenticate us as fqdn:east.example.net"},
		failedBy("peer", known(asked(), west), "INFORMATIONAL", event.CauseAuthentication, "AUTHENTICATION_FAILED", "the peer refused to authenticate us as fqdn:east.example.net"),
	}}},
	"plugin unsupported": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		failedBy("us", initiated(), failSite.ike, event.CausePlugin, "", "the key exchange plugin could not make a value of MODP_1024: unsupported: no plugin provides key exchange method 2"),
	}}},
	"unknown_identity responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.AuthFailed{Side: "remote", Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", LocalID: "fqdn:east.example.net", RemoteID: "fqdn:north.example.net", Cause: event.CauseUnknownIdentity, Reason: "no connection from 192.0.2.2 expects a peer that calls itself fqdn:north.example.net"},
		failedBy("us", known(asked(), "fqdn:north.example.net"), failSite.auth, event.CauseUnknownIdentity, "AUTHENTICATION_FAILED", "no connection from 192.0.2.2 expects a peer that calls itself fqdn:north.example.net"),
	}}},
	"unknown_identity initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.AuthFailed{Side: "remote", Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", LocalID: "fqdn:east.example.net", RemoteID: "ipv4:192.0.2.2", Cause: event.CauseUnknownIdentity, Reason: `the peer calls itself ipv4:192.0.2.2, but connection "west" expects fqdn:west.example.net`},
		failedBy("us", known(initiated(), "ipv4:192.0.2.2"), failSite.auth, event.CauseUnknownIdentity, "AUTHENTICATION_FAILED", `the peer calls itself ipv4:192.0.2.2, but connection "west" expects fqdn:west.example.net`),
	}}},
	"unknown_identity stranger": {{uid1, "", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthFailed{Side: "remote", Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: "fqdn:north.example.net", Cause: event.CauseUnknownIdentity, Reason: "no connection from 192.0.2.2 expects a peer that calls itself fqdn:north.example.net"},
		failedBy("us", known(asked(), "fqdn:north.example.net"), failSite.auth, event.CauseUnknownIdentity, "AUTHENTICATION_FAILED", "no connection from 192.0.2.2 expects a peer that calls itself fqdn:north.example.net"),
	}}},
	"unknown_identity illegible": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthFailed{Side: "remote", Method: "RSA_ENC", LocalID: "fqdn:east.example.net", Cause: event.CauseUnknownIdentity, Reason: "what the peer encrypted makes no sense: it has not our public key, or means another side"},
		failedBy("us", asked(), "AGGRESSIVE", event.CauseUnknownIdentity, "", "what the peer encrypted makes no sense: it has not our public key, or means another side"),
	}}},
	"no_credential initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.AuthFailed{Side: "local", LocalID: "fqdn:east.example.net", RemoteID: west, Cause: event.CauseNoCredential, Reason: "there is no credential for fqdn:east.example.net and fqdn:west.example.net: file: no key"},
		failedBy("us", known(initiated(), west), failSite.auth, event.CauseNoCredential, "", "there is no credential for fqdn:east.example.net and fqdn:west.example.net: file: no key"),
	}}},
	"proposal_mismatch responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.ProposalMismatch{Scope: "ike", By: "us", Offered: []string{"aes256-sha256-prfsha256-modp2048", "aes256gcm16-prfsha256-modp2048"},
			Configured: []string{"aes256gcm16-prfsha256-x25519-ecp256"},
			Verdicts: []event.TransformReport{
				report(1, 1, "ENCR", []string{"aes256"}, []string{"aes256gcm16"}, nil),
				report(1, 1, "INTEG", []string{"sha256"}, []string{"none"}, nil),
				report(1, 1, "PRF", []string{"prfsha256"}, []string{"prfsha256"}, []string{"prfsha256"}),
				report(1, 1, "KE", []string{"modp2048"}, []string{"x25519", "ecp256"}, nil),
				report(2, 1, "ENCR", []string{"aes256gcm16"}, []string{"aes256gcm16"}, []string{"aes256gcm16"}),
				report(2, 1, "PRF", []string{"prfsha256"}, []string{"prfsha256"}, []string{"prfsha256"}),
				report(2, 1, "KE", []string{"modp2048"}, []string{"x25519", "ecp256"}, nil),
			},
			Closest: "add modp2048 to our ike proposals, or ask the peer for x25519 or ecp256"},
		failedBy("us", asked(), failSite.ike, event.CauseNoProposal, "NO_PROPOSAL_CHOSEN", "the peer's IKE proposals and ours have nothing in common: add modp2048 to our ike proposals, or ask the peer for x25519 or ecp256"),
	}}},
	"proposal_refused initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.ProposalMismatch{Scope: "ike", By: "peer", Offered: []string{"aes256gcm16-prfsha256-x25519-ecp256"}, Configured: []string{"aes256gcm16-prfsha256-x25519-ecp256"}},
		failedBy("peer", initiated(), failSite.ike, event.CauseNoProposal, "NO_PROPOSAL_CHOSEN", "the peer refused IKE_SA_INIT with NO_PROPOSAL_CHOSEN: it accepts none of our proposals, or has no connection for our address"),
	}}},
	// OpenIKED does so.
	"child_proposal_refused with the IKE SA": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		failedBy("peer", initiated(), failSite.auth, event.CauseNoProposal, "NO_PROPOSAL_CHOSEN", "the peer refused IKE_AUTH with NO_PROPOSAL_CHOSEN: it accepts none of our proposals, or has no connection for our address"),
	}}},
	"child_proposal_mismatch responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.ProposalMismatch{Scope: "child", By: "us", Offered: []string{"aes128-sha1"}, Configured: []string{"aes256gcm16"},
			Verdicts: []event.TransformReport{
				report(1, 1, "ENCR", []string{"aes128"}, []string{"aes256gcm16"}, nil),
				report(1, 1, "INTEG", []string{"sha1"}, []string{"none"}, nil),
				report(1, 1, "ESN", []string{"no"}, []string{"no"}, []string{"no"}),
			},
			Closest: `add the proposal "aes128-sha1" to our esp proposals (sha1 is weak: for this connection only), or ask the peer for "aes256gcm16"`},
		event.IKEEstablished{IKE: known(asked(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseNoProposal, Notify: "NO_PROPOSAL_CHOSEN", By: "us", Reason: `the peer's ESP proposals and those of child "lan" have nothing in common`, KeptIKE: true},
	}}},
	"child_proposal_refused initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.ProposalMismatch{Scope: "child", By: "peer", Offered: []string{"aes256gcm16"}, Configured: []string{"aes256gcm16"}},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseNoProposal, Notify: "NO_PROPOSAL_CHOSEN", By: "peer", Reason: `the peer refused child "lan" with NO_PROPOSAL_CHOSEN`, KeptIKE: true},
		event.IKEDeleted{IKE: known(initiated(), west), By: "peer", Reason: "the peer deleted the IKE SA"},
	}}},
	"selector_mismatch responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.ChildTSMismatch{Name: "lan", OurLocal: []string{"10.1.0.0/16"}, OurRemote: []string{"10.2.0.0/16"}, OfferedLocal: []string{"10.1.4.0/24"}, OfferedRemote: []string{"10.9.0.0/16"}},
		event.IKEEstablished{IKE: known(asked(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseNoSelectors, Notify: "TS_UNACCEPTABLE", By: "us", Reason: `the peer's traffic selectors overlap with no child of connection "west"`, KeptIKE: true},
	}}},
	"address_required initiator":      {childStory(initiated(), "peer", "FAILED_CP_REQUIRED", "the peer refused child \"lan\" with FAILED_CP_REQUIRED")},
	"address_refused initiator":       {childStory(initiated(), "peer", "INTERNAL_ADDRESS_FAILURE", "the peer refused child \"lan\" with INTERNAL_ADDRESS_FAILURE")},
	"address_not_requested responder": {childStory(asked(), "us", "FAILED_CP_REQUIRED", "the peer asks for no inner address")},
	"no_address initiator":            {childStory(initiated(), "us", "", "the peer gave us no inner address, for which connection \"west\" asks (virtual)")},
	"pool_exhausted responder": {childStory(asked(), "us", "INTERNAL_ADDRESS_FAILURE", "there is no inner address for fqdn:west.example.net",
		event.PoolExhausted{Pools: []string{"staff"}, Identity: west, Reason: `all 254 IPv4 addresses of pool "staff" are in use: add addresses to it`})},
	"selectors_refused initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.ChildTSMismatch{Name: "lan", OurLocal: []string{"10.1.0.0/16"}, OurRemote: []string{"10.2.0.0/16"}},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseNoSelectors, Notify: "TS_UNACCEPTABLE", By: "peer", Reason: `the peer refused child "lan" with TS_UNACCEPTABLE`, KeptIKE: true},
	}}},
	"peer_unreachable initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.PeerUnreachable{Remote: theirs.Addr(), Reason: "our address 192.0.2.1 is gone"},
		event.LivenessTimedOut{Sent: 13, For: "2m0s"},
		event.IKEDeleted{IKE: known(initiated(), west), By: "liveness", Reason: "the peer did not answer 13 packets in 2m0s"},
	}}, {event.UID{}, "west", []event.Event{event.PeerUnreachable{Reason: `engine: cannot initiate "west": no route`}}}},
	"peer_unreachable up": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.PeerUnreachable{Remote: theirs.Addr(), Reason: "there is no route to 192.0.2.2"},
	}}},
	"up reachable again": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.PeerUnreachable{Remote: theirs.Addr(), Reason: "there is no route to 192.0.2.2"},
		event.PeerReachable{Remote: theirs.Addr()},
	}}},
	"peer_unreachable untried": {{event.UID{}, "west", []event.Event{event.PeerUnreachable{Reason: `engine: cannot initiate "west": no route`}}}},
	"silent_peer initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: 1},
		event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: 2},
		event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: 3},
		event.RetransmitTimedOut{Exchange: "IKE_SA_INIT", Sent: 4, For: "7.5s", Remote: theirs},
		failedBy("peer", initiated(), failSite.ike, event.CauseTimeout, "", "192.0.2.2:500 did not answer"),
	}}},
	"port_4500_blocked initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.NATDetected{Local: true},
		event.Retransmitted{Exchange: "IKE_AUTH", MessageID: 1, Attempt: 1},
		event.RetransmitTimedOut{Exchange: "IKE_AUTH", MessageID: 1, Sent: 2, For: "1.5s", Remote: theirsN, Heard: true},
		failedBy("peer", known(initiated(), west), failSite.auth, event.CauseTimeout, "", "192.0.2.2:4500 did not answer"),
	}}},
	"silent_after_answer initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.RetransmitTimedOut{Exchange: "IKE_AUTH", MessageID: 1, Sent: 2, For: "1.5s", Remote: theirs, Heard: true},
		failedBy("peer", known(initiated(), west), failSite.auth, event.CauseTimeout, "", "192.0.2.2:500 did not answer"),
	}}},
	"half_open responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.SuiteChosen{Scope: "ike", Suite: suite},
		event.IKEHalfOpenTimedOut{IKE: asked(), State: "half-open"},
		failedBy("peer", asked(), failSite.auth, event.CauseHalfOpen, "", "192.0.2.2:500 began, but did not go on to IKE_AUTH"),
	}}},
	"invalid_ke initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.InvalidKE{Sent: "CURVE25519", Wanted: "MODP_2048", By: "peer"},
		failedBy("peer", initiated(), failSite.ike, event.CauseInvalidKE, "INVALID_KE_PAYLOAD", `the peer wants key exchange method MODP_2048, which connection "west" does not offer`),
	}}},
	"invalid_ke responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.InvalidKE{Sent: "MODP_2048", Wanted: "CURVE25519", By: "us"},
		event.IKEStateChanged{From: "idle", To: "closing"},
		event.IKEStateChanged{From: "closing", To: "closed"},
	}}},
	"plugin initiator": {
		{event.UID{}, "", []event.Event{event.PluginCrashed{Plugin: event.PluginRef{Name: "ke", PID: 4711}, Reason: "signal: killed", InFlight: 1}}},
		{uid1, "west", []event.Event{
			event.IKEInitiated{IKE: initiated()},
			failedBy("us", initiated(), failSite.ike, event.CausePlugin, "", "the key exchange plugin could not make a value of CURVE25519: unavailable: ke is restarting"),
		}}},
	"install initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.ChildInstallFailed{Name: "lan", Backend: "xfrm", Reason: "internal: operation not permitted"},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseInstall, By: "us", Reason: `the SA backend did not install child "lan"`, KeptIKE: true},
	}}},
	"no_connection stranger": {{uid1, "", []event.Event{
		event.IKEInitiated{IKE: asked()},
		failedBy("us", asked(), failSite.ike, event.CauseNoConnection, "NO_PROPOSAL_CHOSEN", "no connection is configured between 192.0.2.1 and 192.0.2.2"),
	}}},
	"peer_dead initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildEstablished{Child: lan()},
		event.RetransmitTimedOut{Exchange: "INFORMATIONAL", MessageID: 2, Sent: 13, For: "2m3s", Remote: theirs, Heard: true},
		event.LivenessTimedOut{Sent: 13, For: "2m3s"},
		event.ChildDeleted{Child: lan(), By: "liveness", Reason: "the peer did not answer 13 packets in 2m3s", Traffic: event.Traffic{BytesIn: 1 << 21, BytesOut: 100}},
		event.IKEDeleted{IKE: known(initiated(), west), By: "liveness", Reason: "the peer did not answer 13 packets in 2m3s"},
	}}},
	"up with an earlier failure": {
		{uid2, "west", []event.Event{
			event.IKEInitiated{IKE: initiated()},
			event.RetransmitTimedOut{Exchange: "IKE_SA_INIT", Sent: 4, For: "7.5s", Remote: theirs},
			failedBy("peer", initiated(), failSite.ike, event.CauseTimeout, "", "192.0.2.2:500 did not answer"),
		}},
		{uid1, "west", []event.Event{
			event.IKEInitiated{IKE: initiated()},
			event.SuiteChosen{Scope: "ike", Suite: suite},
			event.IKEEstablished{IKE: known(initiated(), west)},
			event.ChildEstablished{Child: lan()},
		}}},
	"up though a later attempt failed": {
		{uid1, "west", []event.Event{
			event.IKEInitiated{IKE: initiated()},
			event.IKEEstablished{IKE: known(initiated(), west)},
			event.ChildEstablished{Child: lan()},
		}},
		{uid2, "west", []event.Event{
			event.IKEInitiated{IKE: asked()},
			failedBy("peer", asked(), failSite.auth, event.CauseHalfOpen, "", "192.0.2.2:500 began, but did not go on to IKE_AUTH"),
		}}},
	"under_way initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEStateChanged{From: "preparing", To: "init sent"},
		event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: 2},
	}}},
	"wrong_key ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(asked())},
		event.SuiteChosen{Scope: "ike", Suite: suite1},
		event.IntegrityFailed{Remote: theirsN, Count: 1},
		event.AuthFailed{Side: "remote", Method: "pre-shared key", Cause: event.CauseAuthentication, Reason: "a message of 192.0.2.2:4500 cannot be decrypted: the pre-shared keys of the two sides differ, or it was forged"},
		failedBy("us", phase1(asked()), "MAIN_MODE", event.CauseAuthentication, "", "a message of 192.0.2.2:4500 cannot be decrypted: the pre-shared keys of the two sides differ, or it was forged"),
	}}},
	"unknown_identity ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(initiated())},
		event.AuthFailed{Side: "remote", Method: "pre-shared key", LocalID: "fqdn:east.example.net", RemoteID: "fqdn:north.example.net", Cause: event.CauseUnknownIdentity, Reason: `the peer is fqdn:north.example.net, and connection "west" expects fqdn:west.example.net`},
		failedBy("us", phase1(known(initiated(), "fqdn:north.example.net")), "MAIN_MODE", event.CauseUnknownIdentity, "INVALID-ID-INFORMATION", `the peer is fqdn:north.example.net, and connection "west" expects fqdn:west.example.net`),
	}}},
	"silent_after_answer ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(initiated())},
		event.SuiteChosen{Scope: "ike", Suite: suite1},
		event.NATDetected{Remote: true},
		event.RetransmitTimedOut{Exchange: "MAIN_MODE", Sent: 4, For: "15s", Remote: theirsN, Heard: true},
		failedBy("peer", known(phase1(initiated()), ""), "MAIN_MODE", event.CauseTimeout, "", "192.0.2.2:4500 did not answer 4 packets"),
	}}},
	"proposal_refused ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(initiated())},
		event.ProposalMismatch{Scope: "ike", By: "peer", Offered: []string{"aes256-sha256-modp2048"}, Configured: []string{"aes256-sha256-modp2048"}},
		failedBy("peer", phase1(initiated()), "MAIN_MODE", event.CauseNoProposal, "NO-PROPOSAL-CHOSEN", "the peer refused MAIN_MODE with NO-PROPOSAL-CHOSEN"),
	}}},
	"no_address ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(initiated())},
		event.AuthSucceeded{Method: "pre-shared key", RemoteID: west},
		event.IKEFailed{IKE: known(phase1(initiated()), west), Stage: "TRANSACTION", Cause: event.CauseNoAddress, By: "us",
			Reason: "the peer gave us no inner address, for which connection \"west\" asks (virtual): give it a pool there, or leave virtual out"},
	}}},
	"address_not_requested ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(asked())},
		event.AuthSucceeded{Method: "pre-shared key", RemoteID: west},
		event.IKEEstablished{IKE: known(phase1(asked()), west)},
		event.ChildFailed{Cause: event.CauseNoAddress, Notify: "INVALID-ID-INFORMATION", By: "us", Reason: "the peer has no inner address", KeptIKE: true},
	}}},
	"half_open ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(asked())},
		failedBy("peer", phase1(asked()), "MAIN_MODE", event.CauseHalfOpen, "", "192.0.2.2:500 began, but did not go on"),
	}}},
	"up ikev1": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: phase1(initiated())},
		event.IKEEstablished{IKE: known(phase1(initiated()), west)},
		event.WeakAlgorithm{Scope: "ike", What: []string{"IKEv1"}, Reason: "RFC 9395 retired it: use version = 2 when the peer can"},
		event.ChildEstablished{Child: lan()},
	}}},
	"never_tried": nil,
	"malformed responder": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		failedBy("us", asked(), failSite.ike, event.CauseMalformed, "", "the peer sent what RFC 7296 does not allow: a \x1b[31mred\n herring"),
	}}},
	"stopped initiator": {{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildEstablished{Child: lan()},
		event.IKEDeleted{IKE: known(initiated(), west), By: "operator", Reason: "maintenance"},
	}}},
}

func report(offered, configured int, kind string, theirs, ours, common []string) event.TransformReport {
	return event.TransformReport{OfferedProposal: offered, ConfiguredProposal: configured, Type: kind, Offered: theirs, Configured: ours, Common: common, OK: len(common) > 0}
}

func lan() event.ChildSA {
	return event.ChildSA{UID: uid2, Name: "lan", SPIIn: "c0000001", SPIOut: "d0000001", Protocol: "ESP", Mode: "tunnel", Suite: "AES_GCM_16_256",
		LocalTS: []string{"10.1.0.0/16"}, RemoteTS: []string{"10.2.0.0/16"}, Backend: "userspace"}
}

// publish tells the stories on a bus, 120 ms between events.
func publish(b *bus.Bus, all []story) {
	at := begin
	for _, s := range all {
		for _, e := range s.events {
			b.Publish(event.Record{Time: at, Subject: event.Subject{IKE: s.uid, Conn: s.conn}, Event: e})
			at = at.Add(120 * time.Millisecond)
		}
	}
}

func explain(t *testing.T, c *config.Snapshot, target string, all []story) *controlv1.Explanation {
	t.Helper()
	b := bus.New()
	h := control.NewHistory(b)
	t.Cleanup(h.Close)
	publish(b, all)
	e, err := h.Explain(target, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(e.Alternatives, e.Remedy) {
		if r != nil && len(c.Credentials) > 0 { // the length of the folder's name must not matter
			r.Text = strings.ReplaceAll(r.Text, filepath.Dir(c.Credentials[0].File), "/etc/parley")
		}
	}
	return e
}

func TestEveryFailureGetsItsExplanation(t *testing.T) {
	t.Parallel()
	c := snapshot(t)
	for name, all := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := "west"
			if strings.HasSuffix(name, "stranger") {
				target = "192.0.2.2"
			}
			e := explain(t, c, target, all)
			if code, _, _ := strings.Cut(name, " "); e.Code != code {
				t.Errorf("code %q, want %q", e.Code, code)
			}
			var out strings.Builder
			if err := control.WriteExplanation(&out, e, nil); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.ReplaceAll(name, " ", "_")+".txt", out.String())
		})
	}
}

func TestTheStructureOfAnExplanationIsStable(t *testing.T) {
	t.Parallel()
	c := snapshot(t)
	for _, name := range []string{"wrong_key responder", "proposal_mismatch responder", "selector_mismatch responder"} {
		b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(explain(t, c, "west", stories[name]))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.ReplaceAll(name, " ", "_")+".json", indented(t, b))
	}
}

func indented(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestExplainKnowsNobodyElse(t *testing.T) {
	t.Parallel()
	c := snapshot(t)
	h := control.NewHistory(bus.New())
	defer h.Close()
	for target, want := range map[string]string{
		"wst":       `control: not found: there is no connection "wst": there are west, any`,
		"192.0.2.9": "control: not found: nobody at 192.0.2.9 has tried anything that matched no connection",
	} {
		if _, err := h.Explain(target, c); !errors.Is(err, control.ErrNotFound) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", target, err, want)
		}
	}
}

// childStory is an IKE SA that gets no child for want of an inner address.
func childStory(sa event.IKESA, by, notify, reason string, before ...event.Event) story {
	events := append([]event.Event{event.IKEInitiated{IKE: sa}, event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west}}, before...)
	return story{uid1, "west", append(events, event.IKEEstablished{IKE: known(sa, west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseNoAddress, Notify: notify, By: by, Reason: reason, KeptIKE: true})}
}
