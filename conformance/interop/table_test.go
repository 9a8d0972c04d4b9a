package interop

import "testing"

// cell is the result of a scenario with a peer in a role.
type cell struct{ Peer, Scenario, Role, Verdict, Why string }

func compare(t *testing.T, m maker, result []cell) {
	t.Helper()
	for _, c := range result {
		t.Logf("%+v", c)
	}
}
