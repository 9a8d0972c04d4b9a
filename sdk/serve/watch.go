package serve

import (
	"fmt"
	"log/slog"

	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	"github.com/parley-ike/parley/sdk/sa"
)

// watch has every SA backend that tells events do so for the life of the exchange.
func (x *exchange) watch() {
	for _, v := range x.server.services {
		if w, ok := v.impl.(sa.Watcher); ok {
			go x.follow(v.name, w)
		}
	}
}

func (x *exchange) follow(name string, w sa.Watcher) {
	_, err := guard(func() ([]byte, error) { return nil, w.Watch(x.ctx, func(e sa.Event) { x.tell(name, e) }) })
	if x.ctx.Err() == nil {
		slog.Error("plugin: no more events come from an SA backend", "backend", name, "error", fmt.Sprint(err))
	}
}

// tell sends an event. It has no ID, because nobody answers it. Without room it is dropped: a backend tells what matters again.
func (x *exchange) tell(service string, e sa.Event) {
	body, err := encode(codec.FromEvent(e))
	if err == nil {
		err = x.sender.Push(&basev1.Frame{Op: uint32(basev1.Op_OP_SA_EVENT), Service: service, Body: body})
	}
	if err != nil && x.ctx.Err() == nil {
		slog.Warn("plugin: an event was lost on its way to the daemon", "backend", service, "error", err.Error())
	}
}
