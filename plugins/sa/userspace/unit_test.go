package userspace

import (
	"context"
	"testing"
)

func TestTheCanaryKnowsItsAnswer(t *testing.T) {
	if err := new(Plugin).Canary(context.Background()); err != nil {
		t.Fatal(err)
	}
	good := canaryPacket
	canaryPacket = append([]byte{1}, good[1:]...)
	defer func() { canaryPacket = good }()
	if err := new(Plugin).Canary(context.Background()); err == nil {
		t.Error("a wrong answer was taken for right")
	}
}
