package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/parley-ike/parley/plugins/sa/memory"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

// bad is an SA backend with one defect.
type bad struct {
	*memory.Plugin
	defect string
}

func (b bad) Probe(ctx context.Context) (sa.Capabilities, error) {
	c, err := b.Plugin.Probe(ctx)
	if b.defect == "epoch forgotten" {
		c.Epoch = 1
	}
	if b.defect == "claims too much" {
		c.Settings = append(c.Settings, sa.SettingMark)
	}
	return c, err
}

func (b bad) Install(ctx context.Context, c sa.Child) error {
	switch b.defect {
	case "not idempotent":
		if list, _ := b.List(ctx, c.Owner); len(list) > 0 {
			return errors.New("bad: file exists")
		}
	case "key forgotten":
		c.SPIIn ^= 0x80000000
	case "answers before it is done":
		time.AfterFunc(2*time.Millisecond, func() { _ = b.Plugin.Install(context.Background(), c) })
		return nil
	case "dies":
		os.Exit(7)
	case "hangs":
		select {}
	}
	return b.Plugin.Install(ctx, c)
}

func (b bad) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	if b.defect == "owner ignored" {
		for _, owner := range []string{"parley-conformance", "parley-conformance-other"} {
			c.Owner = owner
			_, _ = b.Plugin.Remove(ctx, c)
		}
		return sa.Usage{}, nil
	}
	return b.Plugin.Remove(ctx, c)
}

// serveBad is what the test binary does as a plugin.
func serveBad(defect string) {
	serve.Main(serve.Info{Name: "bad", Version: "1"}, serve.SA("bad", bad{memory.New(memory.Config{}), defect}))
}
