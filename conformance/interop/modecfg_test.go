package interop

import "testing"

// TestModeConfigurationWithStrongSwan: the side that begins IKEv1 gets an inner address of the other, which it asks for (pull) or is given
// (push) between phase 1 and quick mode (draft-dukes-ike-mode-cfg-02).
func TestModeConfigurationWithStrongSwan(t *testing.T) {
	t.Parallel()
	for name, push := range map[string]bool{"pull": false, "push": true} {
		for _, weBegin := range roles {
			t.Run(name+"/"+role(weBegin), func(t *testing.T) {
				x := &match{maker: makers[0], weBegin: weBegin, userspace: true, ikev1: true}
				x.innerAddress(t, terms{pushes: push}, "CONNECTION", choose(push, `mode_config = "push"`, ""))
				contains(t, parley(t, x.ours, "sa", "show", "west"), "IKEv1", "10.9.0.")
			})
		}
	}
}
