package pluginhost

import "testing"

func TestTheFirstOfTheCatalogueWinsUntilRoutesAreSticky(t *testing.T) {
	t.Parallel()
	first, second := target{supervisor: &supervisor{}, service: "a"}, target{supervisor: &supervisor{}, service: "b"}
	for _, c := range []struct {
		name   string
		old    map[uint16]target
		sticky bool
		want   target
	}{
		{"at the start", nil, false, first},
		{"while plugins come up", map[uint16]target{31: second}, false, first},
		{"later, when only the second was there", map[uint16]target{31: second}, true, second},
		{"later, when the first was there", map[uint16]target{31: first}, true, first},
		{"later, when none was there", nil, true, first},
	} {
		fresh := map[uint16]target{}
		choose(fresh, c.old, 31, first, c.sticky)
		choose(fresh, c.old, 31, second, c.sticky)
		if fresh[31] != c.want {
			t.Errorf("%s: got %s, want %s", c.name, fresh[31].service, c.want.service)
		}
	}
}
