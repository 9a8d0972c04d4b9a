package control

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// downWait is how long Down waits for the deletions when the caller names no time: a peer that is there answers within it.
const downWait = 10 * time.Second

// Down implements the RPC.
func (s *Server) Down(ctx context.Context, req *controlv1.DownRequest) (*controlv1.DownResponse, error) {
	ctx, cancel := s.following(ctx)
	defer cancel()
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := s.targets(req, sas)
	if err == nil {
		s.orderedDown(req)
	}
	if err != nil || len(targets) == 0 {
		return &controlv1.DownResponse{}, err
	}
	sub := s.c.Bus.Subscribe("control down", bus.DropOldest(followQueue), ends)
	defer sub.Close()
	for _, t := range targets {
		if _, err := s.c.Engine.Terminate(ctx, engine.Selector{UID: t.sa.UID}, t.child, req.Reason); err != nil {
			return nil, status.Errorf(codes.Unavailable, "%v", err)
		}
	}
	pending := map[event.UID]bool{}
	for _, t := range targets {
		pending[t.uid] = true
	}
	out := &controlv1.DownResponse{}
	if !req.NoWait {
		out.Ended = await(ctx, sub, pending, req.TimeoutMs)
	}
	for _, t := range targets {
		if pending[t.uid] {
			out.Pending = append(out.Pending, t.uid.String())
		}
	}
	return out, nil
}

// ends takes the events that tell of an end.
func ends(r event.Record) bool {
	switch r.Event.(type) {
	case event.IKEDeleted, event.IKEFailed, event.ChildDeleted:
		return true
	}
	return false
}

// await removes from pending what has ended, and returns it, until nothing is left or the time is over.
func await(ctx context.Context, sub *bus.Subscription, pending map[event.UID]bool, timeoutMS uint32) (ended []string) {
	wait := downWait
	if timeoutMS > 0 {
		wait = time.Duration(timeoutMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for len(pending) > 0 {
		r, err := sub.Next(ctx)
		if err != nil {
			return ended
		}
		uid := r.Subject.IKE
		if e, ok := r.Event.(event.ChildDeleted); ok {
			uid = e.Child.UID
		}
		if pending[uid] {
			delete(pending, uid)
			ended = append(ended, uid.String())
		}
	}
	return ended
}

// targets returns what a request is about. A connection that is not up gives none.
func (s *Server) targets(req *controlv1.DownRequest, sas []machine.Info) ([]one, error) {
	switch {
	case req.Sa != "":
		if req.Connection != "" || req.Child != "" {
			return nil, status.Error(codes.InvalidArgument, "control: name an SA, or a connection and a child, not both")
		}
		t, err := find(sas, req.Sa)
		return []one{t}, err
	case req.Connection == "" && req.Child == "":
		return nil, status.Error(codes.InvalidArgument, "control: name a connection, a child or an SA")
	}
	if req.Connection != "" {
		if err := s.known(req.Connection, sas); err != nil {
			return nil, err
		}
	}
	var all []one
	for _, info := range sas {
		if usable(info) && (req.Connection == "" || info.Conn == req.Connection) {
			all = append(all, parts(info, req.Child)...)
		}
	}
	if len(all) == 0 && req.Child != "" && !s.hasChild(req.Connection, req.Child) {
		return nil, status.Errorf(codes.NotFound, "control: there is no child %q", req.Child)
	}
	return all, nil
}

// parts returns an IKE SA, or its children of a name.
func parts(info machine.Info, child string) []one {
	if child == "" {
		return []one{{info, "", info.UID}}
	}
	var all []one
	for _, c := range info.Children {
		if c.Name == child {
			all = append(all, one{info, child, c.UID})
		}
	}
	return all
}

// hasChild reports whether a connection, or any for "", has a child of a name.
func (s *Server) hasChild(conn, child string) bool {
	snapshot := s.c.Snapshot()
	return slices.ContainsFunc(names(snapshot), func(name string) bool {
		c, _ := connectionOf(snapshot, name)
		return (conn == "" || conn == name) && slices.Contains(c.children, child)
	})
}
