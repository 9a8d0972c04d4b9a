package control_test

import "github.com/parley-ike/parley/bus/event"

// The stories of IKE SAs that meet others of their peer.
func init() {
	stories["duplicate responder"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.IKEUniqueness{IKE: known(asked(), west), Policy: "keep", Stays: uid2},
		failedBy("us", known(asked(), west), failSite.auth, event.CauseDuplicate, "AUTHENTICATION_FAILED",
			`connection "west" keeps the IKE SA that it has with fqdn:west.example.net (unique = "keep")`),
	}}}
	stories["replaced initiator"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildEstablished{Child: lan()},
		event.IKEUniqueness{IKE: known(initiated(), west), Policy: "replace", Stays: uid2},
		event.IKEDeleted{IKE: known(initiated(), west), By: "replaced", Reason: `another IKE SA of the peer took its place (unique = "replace")`},
	}}}
}
