package main

import (
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/auth"
)

func TestTheExampleConforms(t *testing.T) {
	t.Parallel()
	kit.Auth(t, kit.PSKFixture(func() auth.Plugin { return shared{} }, setting))
}
