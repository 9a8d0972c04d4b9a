package main

import (
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/ke"
)

func TestTheExampleConforms(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return x25519{} })
}
