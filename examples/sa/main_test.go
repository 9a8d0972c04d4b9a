package main

import (
	"testing"

	"github.com/parley-ike/parley/conformance/kit/sakit"
)

func TestTheExampleConforms(t *testing.T) {
	t.Parallel()
	sakit.Run(t, sakit.Fixture{Plugin: newBackend()})
}
