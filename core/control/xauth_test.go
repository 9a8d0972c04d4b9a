package control_test

import "github.com/parley-ike/parley/bus/event"

// The stories of users who are not authenticated in extended authentication.
func init() {
	sa := known(phase1(asked()), west)
	tell := func(name string, began event.IKESA, e event.AuthFailed) {
		e.Method, e.LocalID, e.RemoteID = "XAUTH", "fqdn:east.example.net", west
		by := "us"
		if e.Side == "local" {
			by = "peer"
		}
		stories[name] = []story{{uid1, "west", []event.Event{
			event.IKEInitiated{IKE: phase1(began)},
			event.AuthSucceeded{Method: "XAUTHInitPreShared", RemoteID: west},
			event.IKEStateChanged{From: "verifying", To: "authenticating"},
			e,
			failedBy(by, sa, "TRANSACTION", e.Cause, "", e.Reason),
		}}}
	}
	tell("wrong_password responder", asked(), event.AuthFailed{Side: "remote", User: "alice", Cause: event.CauseAuthentication, Reason: `the password of user "alice" is wrong`})
	tell("unknown_user responder", asked(), event.AuthFailed{Side: "remote", User: "mallory", Cause: event.CauseNoCredential, Reason: `there is no password of user "mallory", who is unknown therefore`})
	tell("user_not_admitted responder", asked(), event.AuthFailed{Side: "remote", User: "bob", Cause: event.CauseUnknownIdentity, Reason: `connection "west" does not admit user "bob"`})
	tell("no_user responder", asked(), event.AuthFailed{Side: "remote", Cause: event.CauseAuthentication, Reason: "the peer refuses to say who its user is"})
	tell("user_refused initiator", initiated(), event.AuthFailed{Side: "local", User: "alice", Cause: event.CauseAuthentication, Reason: `the peer does not accept user "alice" with our password`})
	tell("no_password initiator", initiated(), event.AuthFailed{Side: "local", User: "alice", Cause: event.CauseNoCredential, Reason: `our password as user "alice" is not to be had`})
	tell("xauth_unsupported initiator", initiated(), event.AuthFailed{Side: "local", User: "alice", Cause: event.CauseUnsupported, Reason: "the peer asks for extended authentication of type 2"})
}
