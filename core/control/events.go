package control

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// tailQueue bounds the events that wait for one client that follows.
const tailQueue = 4096

// Events implements the RPC. Between the past events and the new ones there is neither a hole nor a repetition.
func (s *Server) Events(req *controlv1.EventsRequest, stream grpc.ServerStreamingServer[controlv1.Event]) error {
	want, err := filter(req)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "control: %v", err)
	}
	ctx, cancel := s.following(stream.Context())
	defer cancel()
	sub := s.c.Bus.Subscribe("control events", bus.DropOldest(tailQueue), want)
	defer sub.Close()
	var since time.Time
	if req.Since != nil {
		since = req.Since.AsTime()
	}
	var last uint64
	if req.Backlog > 0 || !since.IsZero() {
		for _, r := range s.c.History.past(want, int(req.Backlog), since) {
			if err := stream.Send(s.eventMessage(r)); err != nil {
				return err
			}
			last = r.Sequence
		}
	}
	if req.NoFollow {
		return nil
	}
	return s.follow(ctx, sub, last, stream)
}

func (s *Server) follow(ctx context.Context, sub *bus.Subscription, last uint64, stream grpc.ServerStreamingServer[controlv1.Event]) error {
	for {
		r, err := sub.Next(ctx)
		switch {
		case errors.Is(err, bus.ErrClosed):
			return status.Error(codes.Unavailable, "control: the daemon is stopping")
		case err != nil:
			return s.ended(ctx)
		case r.Sequence <= last:
			continue
		}
		if err := stream.Send(s.eventMessage(r)); err != nil {
			return err
		}
	}
}

// filter returns what a request asks for.
func filter(req *controlv1.EventsRequest) (func(event.Record) bool, error) {
	for _, glob := range req.Names {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern for event names: write one such as \"ike_sa.*\"", glob)
		}
	}
	least, err := severity(req.Severity)
	if err != nil {
		return nil, err
	}
	return func(r event.Record) bool {
		k := r.Event.Kind()
		return k.Severity >= least && (req.Connection == "" || r.Subject.Conn == req.Connection) && matches(req.Names, k.Name)
	}, nil
}

func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return len(globs) == 0
}

// severity reads a severity's name; "" is info.
func severity(word string) (event.Severity, error) {
	if word == "" {
		return event.Info, nil
	}
	for s := event.Debug; s <= event.Critical; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("unknown severity %q: use debug, info, notice, warning, error or critical", word)
}
