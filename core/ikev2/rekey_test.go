package ikev2

import (
	"bytes"
	"testing"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/sdk/secret"
)

// RFC 7296 section 2.18: SKEYSEED comes from SK_d and the PRF of the old SA, all else from the PRF of the new one.
func TestTheKeysOfANewIKESAComeFromThePRFOfTheOldOne(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	old := p.sa("a1").SA
	b := birth{initiator: true, own: 7, peer: 9, suite: old.suite, ni: bytes.Repeat([]byte{1}, 32), nr: bytes.Repeat([]byte{2}, 32)}
	b.suite.PRF = suite.PRFHMACSHA384
	shared := func() secret.Bytes { return bytes.Repeat([]byte{3}, 32) }
	n, err := old.successor(b, shared())
	if err != nil {
		t.Fatal(err)
	}
	seed, err := suite.SKEYSEEDRekey(old.suite.PRF, old.keys.D, shared(), b.ni, b.nr)
	if err != nil || old.suite.PRF == b.suite.PRF {
		t.Fatal(old.suite.PRF, err)
	}
	want, err := suite.DeriveIKE(b.suite, seed, b.ni, b.nr, 7, 9)
	if err != nil || !n.keys.D.Equal(want.D) || !n.keys.EI.Equal(want.EI) {
		t.Errorf("other keys, %v", err)
	}
}

// RFC 7296 section 2.8: to a kernel, the child that takes the place of another serves the same policies.
func TestARekeyedChildKeepsItsRequestID(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	a, b := p.node("a").backend, p.node("b").backend
	wantA, wantB := a[0x1001].ReqID, b[0x2001].ReqID
	p.command([]string{"rekey", "a1", "lan"})
	p.run()
	if a[0x1002].ReqID != wantA || b[0x2002].ReqID != wantB || wantA == 0 || wantB == 0 {
		t.Errorf("request IDs were %d and %d, and are %d and %d", wantA, wantB, a[0x1002].ReqID, b[0x2002].ReqID)
	}
}
