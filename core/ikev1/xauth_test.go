package ikev1

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// passwordOf finds a user in a list such as "alice:sesame,bob:simsim".
func passwordOf(all, user string) (string, bool) {
	for one := range strings.SplitSeq(all, ",") {
		if name, password, _ := strings.Cut(one, ":"); name == user && user != "" {
			return password, true
		}
	}
	return "", false
}

func (n *node) checkPassword(op machine.CheckPassword) (machine.Result, *machine.CallError) {
	switch password, known := passwordOf(n.passwords, op.User); {
	case !known:
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "fake: no such user"}
	case !op.Password.Equal([]byte(password)):
		return nil, &machine.CallError{Kind: machine.Refused, Text: "fake: another password"}
	}
	return machine.PasswordChecked{}, nil
}

func (n *node) ownPassword(op machine.OwnPassword) (machine.Result, *machine.CallError) {
	password, known := passwordOf(n.own, op.User)
	if !known {
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "fake: we are not that user"}
	}
	return machine.OwnPasswordFound{Password: []byte(password)}, nil
}

// strip takes a vendor ID out of a message in clear: nothing protects it (draft-beaulieu-ike-xauth-02 section 4).
func (p *player) strip(i int, vendor string) {
	p.t.Helper()
	m, err := wire1.Parse(p.flight[i].Bytes)
	if err != nil {
		p.t.Fatal(err)
	}
	m.Payloads = slices.DeleteFunc(m.Payloads, func(x wire1.Payload) bool {
		v, is := x.(wire1.VendorID)
		return is && v.Vendor().String() == vendor
	})
	p.flight[i].Bytes = m.Append(nil)
}

// early has an SA begin a quick mode before extended authentication is over, which it would not do by itself.
func (p *player) early(from *host) {
	p.t.Helper()
	x := &exchange{kind: wire1.QuickMode, id: 0x30000}
	x.iv = from.exchangeIV(x.id)
	offer := policy.OfferPhase2(from.conn.Children[0].ESP, suite.KENone, wire1.EncapsulationTunnel, policy.Lifetime{}, []byte{0, 0, 0x10, 0x99})
	ps := from.hashed(x.id, []wire1.Payload{offer, wire1.Nonce{Data: make([]byte, nonceLen)}})
	send := machine.Send{Local: from.local, Remote: from.remote, Bytes: from.seal(x, ps)}
	p.logf("%s forges %s", from.label, from.renderSend(send))
	p.arrive(datagram{from: from, Send: send})
}

// The edge device initiates by a method that says that the responder is the user, and the other way round (draft-beaulieu-ike-xauth-02
// section 7.2, draft-ietf-ipsec-isakmp-hybrid-auth-05 section 5).
func TestTheMethodSaysWhoseUserItIs(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string][2]wire1.AuthMethod{
		policy.DefaultAuth:              {wire1.AuthXAuthInitPSK, wire1.AuthXAuthRespPSK},
		policy.AuthSignature:            {wire1.AuthXAuthInitRSA, wire1.AuthXAuthRespRSA},
		policy.AuthRSAEncryption:        {wire1.AuthXAuthInitEnc, wire1.AuthXAuthRespEnc},
		policy.AuthRevisedRSAEncryption: {wire1.AuthXAuthInitRev, wire1.AuthXAuthRespRev},
		policy.AuthXAUTH:                {wire1.AuthHybridInitRSA, wire1.AuthHybridRespRSA},
	} {
		user := policy.Endpoint{Auth: auth, Users: []string{"alice"}}
		other := policy.Endpoint{Auth: auth}
		if auth == policy.AuthXAUTH {
			other.Auth = policy.AuthSignature
		}
		client := &policy.Connection{Local: user, Remote: other}
		server := &policy.Connection{Local: other, Remote: user}
		for i, began := range []bool{true, false} {
			if got := extendedMethods(client, began); len(got) != 1 || got[0] != want[i] {
				t.Errorf("%s, the user's side, begins %t: %v, want %v", auth, began, got, want[i])
			}
			if got := extendedMethods(server, !began); len(got) != 1 || got[0] != want[i] {
				t.Errorf("%s, the edge device, begins %t: %v, want %v", auth, !began, got, want[i])
			}
			if base := want[i].Base(); base.IsXAuth() || base == want[i] {
				t.Errorf("phase 1 of %v goes by %v", want[i], base)
			}
		}
	}
}

func TestAMessageForTheUserCannotForgeALine(t *testing.T) {
	t.Parallel()
	if got := printable([]byte("Enter\r\nIKE SA \x1b[31mestablished\xff"), 20); got != "Enter  IKE SA  [31me" {
		t.Errorf("%q", got)
	}
}

// Our own side gives a password once; this one gives it again and again.
func TestWhoGuessesHasToBeginAnewAfterThreeTries(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.command(strings.Fields("nodes a.local-user=alice a.own=alice:simsim b.remote-user=%any b.passwords=alice:sesame"))
	p.command([]string{"initiate", "a"})
	for p.run(); p.sa("b1").State() == Authenticating && p.now.Sub(epoch) < time.Minute; {
		p.sa("a1").xauth.told = false
		p.advance(xauthPause)
	}
	checks := 0
	for _, line := range p.trace {
		if strings.Contains(line, "CheckPassword of alice") {
			checks++
		}
	}
	if took := p.now.Sub(epoch); checks != maxXAuthTries || took != maxXAuthTries*xauthPause || p.sa("b1").State() != Closed || p.sa("a1").State() != Closed {
		t.Errorf("%d passwords were checked in %v, want %d in %v; the sides are %v and %v", checks, took, maxXAuthTries, maxXAuthTries*xauthPause, p.sa("b1").State(), p.sa("a1").State())
	}
}
