package main

import (
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
)

func TestTheExampleConforms(t *testing.T) {
	t.Parallel()
	kit.SA(t, kit.SAFixture{Plugin: newBackend()})
}
