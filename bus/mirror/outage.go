package mirror

import (
	"sync"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

// outage tells once that something failed and once that it works again: on the bus and in the log.
type outage struct {
	what string // URL or directory
	bus  *bus.Bus
	log  *zap.Logger

	mu   sync.Mutex
	last string // reason of the last failure, kept after its end
	down bool
}

func (o *outage) begin(err error) {
	o.mu.Lock()
	was := o.down
	o.down, o.last = true, err.Error()
	o.mu.Unlock()
	if !was {
		o.log.Warn("mirror down; events wait", zap.String("url", o.what), zap.Error(err))
		o.bus.Publish(event.Record{Event: event.MirrorDown{URL: o.what, Reason: err.Error()}})
	}
}

func (o *outage) end() {
	o.mu.Lock()
	was := o.down
	o.down = false
	o.mu.Unlock()
	if was {
		o.log.Info("mirror up", zap.String("url", o.what))
		o.bus.Publish(event.Record{Event: event.MirrorUp{URL: o.what}})
	}
}

func (o *outage) reason() (last string, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, o.down
}
