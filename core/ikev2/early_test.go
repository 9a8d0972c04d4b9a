package ikev2

import "testing"

// Unknown SPIs are remembered only while an exchange of ours may bring them.
func TestUnknownDeletesAreNotRemembered(t *testing.T) {
	t.Parallel()
	p := &player{world: newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	p.seal(p.sa("b1"), []string{"INFORMATIONAL", "0", "request", "delete:00007777"})
	if a := p.sa("a1"); len(a.early) != 0 || a.peer.next != 1 {
		t.Errorf("%d SPIs are remembered, next is %d", len(a.early), a.peer.next)
	}
}
