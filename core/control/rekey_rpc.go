package control

import (
	"context"
	"maps"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// rekeyWait is how long Rekey waits when the caller names no time: a peer that is there answers within it.
const rekeyWait = 10 * time.Second

// Rekey implements the RPC.
func (s *Server) Rekey(ctx context.Context, req *controlv1.RekeyRequest) (*controlv1.RekeyResponse, error) {
	ctx, cancel := s.following(ctx)
	defer cancel()
	sub := s.c.Bus.Subscribe("control rekey", bus.DropOldest(followQueue), func(r event.Record) bool {
		_, _, ok := replaced(r)
		return ok || ends(r)
	}) // before the SAs are listed: the peer may replace one in between
	defer sub.Close()
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := s.toRekey(req, sas)
	if err != nil {
		return nil, err
	}
	pending := map[event.UID]bool{}
	for _, t := range chosen {
		if _, err := s.c.Engine.Rekey(ctx, engine.Selector{UID: t.sa.UID}, t.child); err != nil {
			return nil, status.Errorf(codes.Unavailable, "%v", err)
		}
		pending[t.uid] = true
	}
	out := &controlv1.RekeyResponse{}
	if !req.NoWait {
		out.Rekeyed = awaitRekeyed(ctx, sub, pending, req.TimeoutMs)
	}
	for _, t := range chosen {
		if pending[t.uid] {
			out.Pending = append(out.Pending, t.uid.String())
		}
	}
	return out, nil
}

// toRekey returns what a request is about. There must be something.
func (s *Server) toRekey(req *controlv1.RekeyRequest, sas []machine.Info) ([]one, error) {
	switch {
	case (req.Sa == "") == (req.Connection == "") || req.Sa != "" && req.Child != "":
		return nil, status.Error(codes.InvalidArgument, "control: name a connection, perhaps with a child, or an SA")
	case req.Sa != "":
		t, err := find(sas, req.Sa)
		return []one{t}, err
	}
	if err := s.known(req.Connection, sas); err != nil {
		return nil, err
	}
	var all []one
	for _, info := range sas {
		if info.Conn == req.Connection && info.State == "established" {
			all = append(all, parts(info, req.Child)...)
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case req.Child != "" && !s.hasChild(req.Connection, req.Child):
		return nil, status.Errorf(codes.NotFound, "control: connection %q has no child %q", req.Connection, req.Child)
	}
	name := req.Connection
	if req.Child != "" {
		name += " " + req.Child
	}
	return nil, status.Errorf(codes.FailedPrecondition, "control: there is nothing to rekey: `parley up %s` brings it up", name)
}

// replaced returns which SA took the place of which other one.
func replaced(r event.Record) (uid, prev event.UID, ok bool) {
	switch e := r.Event.(type) {
	case event.IKERekeyed:
		return r.Subject.IKE, e.Prev, true
	case event.IKEReauthenticated: // so IKEv1 replaces its SA
		return r.Subject.IKE, e.Old, true
	case event.ChildRekeyed:
		return e.Child.UID, e.Prev, true
	}
	return uid, prev, false
}

// outlived returns which SA ended without one in its place.
func outlived(r event.Record) (uid event.UID, ok bool) {
	switch e := r.Event.(type) {
	case event.IKEDeleted:
		return r.Subject.IKE, e.By != byRekey
	case event.IKEFailed:
		return r.Subject.IKE, true
	case event.ChildDeleted:
		return e.Child.UID, e.By != byRekey
	}
	return uid, false
}

// byRekey is who ends an SA whose place another one took.
const byRekey = "rekey"

// awaitRekeyed removes from pending what was replaced, and returns it, until nothing is left for which that can still happen or the
// time is over.
func awaitRekeyed(ctx context.Context, sub *bus.Subscription, pending map[event.UID]bool, timeoutMS uint32) (done []*controlv1.Rekeyed) {
	wait := rekeyWait
	if timeoutMS > 0 {
		wait = time.Duration(timeoutMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for waiting := maps.Clone(pending); len(waiting) > 0; {
		r, err := sub.Next(ctx)
		if err != nil {
			return done
		}
		if uid, prev, _ := replaced(r); pending[prev] {
			delete(pending, prev)
			delete(waiting, prev)
			done = append(done, &controlv1.Rekeyed{Uid: uid.String(), Prev: prev.String()})
		}
		if uid, ok := outlived(r); ok {
			delete(waiting, uid)
		}
	}
	return done
}
