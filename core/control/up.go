package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// followQueue bounds the events that wait for a client that follows one attempt.
const followQueue = 1024

// Up implements the RPC. What is up already stays as it is; an attempt that is under way is followed instead of made anew.
func (s *Server) Up(req *controlv1.UpRequest, stream grpc.ServerStreamingServer[controlv1.UpResponse]) error {
	ctx, cancel := s.following(stream.Context())
	defer cancel()
	wanted, err := s.wanted(req)
	if err != nil {
		return err
	}
	s.ordered(req.Connection, req.Children, false)
	sub := s.c.Bus.Subscribe("control up", bus.DropOldest(followQueue), func(r event.Record) bool { return r.Subject.Conn == req.Connection })
	defer sub.Close()
	sas, err := s.sas(ctx)
	if err != nil {
		return err
	}
	if sa := alreadyUp(sas, req.Connection, wanted); sa != nil {
		return sendVerdict(stream, &controlv1.Verdict{Result: controlv1.Verdict_ALREADY_UP, IkeUid: sa.Uid, Sa: sa})
	}
	uid, wanted, err := s.attempt(ctx, sas, req, wanted)
	if err != nil {
		return err
	}
	if req.NoWait {
		return sendVerdict(stream, &controlv1.Verdict{Result: controlv1.Verdict_STARTED, IkeUid: uid.String()})
	}
	f := &follower{s: s, stream: stream, conn: req.Connection, uid: uid, wanted: wanted}
	return f.run(ctx, sub, time.Duration(req.TimeoutMs)*time.Millisecond)
}

// wanted returns the children that are to be up: by default the connection's first.
func (s *Server) wanted(req *controlv1.UpRequest) ([]string, error) {
	conn, ok := connectionOf(s.c.Snapshot(), req.Connection)
	if !ok {
		return nil, status.Errorf(codes.NotFound, "control: there is no connection %q%s", req.Connection, listed(names(s.c.Snapshot())))
	}
	for _, child := range req.Children {
		if !slices.Contains(conn.children, child) {
			return nil, status.Errorf(codes.NotFound, "control: connection %q has no child %q%s", req.Connection, child, listed(conn.children))
		}
	}
	if len(req.Children) == 0 {
		return conn.children[:min(1, len(conn.children))], nil
	}
	return slices.Clone(req.Children), nil
}

// alreadyUp returns the IKE SA that has all the children, nil for none.
func alreadyUp(sas []machine.Info, conn string, wanted []string) *controlv1.SA {
	for _, info := range sas {
		if info.Conn != conn || info.Established.IsZero() || !usable(info) {
			continue
		}
		if !slices.ContainsFunc(wanted, func(name string) bool { return !hasChild(info, name) }) {
			return saMessage(info)
		}
	}
	return nil
}

func hasChild(info machine.Info, name string) bool {
	return slices.ContainsFunc(info.Children, func(c event.ChildSA) bool { return c.Name == name })
}

// attempt returns the attempt to follow and the children that it is to bring, and begins one if there is none: in the IKE SA of
// the connection when that is up. One for certain children is always new.
func (s *Server) attempt(ctx context.Context, sas []machine.Info, req *controlv1.UpRequest, wanted []string) (event.UID, []string, error) {
	for _, info := range sas {
		if len(req.Children) == 0 && info.Conn == req.Connection && info.IKE.Role == "initiator" && info.Established.IsZero() && usable(info) {
			return info.UID, wanted, nil
		}
	}
	uid, joined, err := s.c.Engine.Up(ctx, req.Connection, req.Children)
	switch {
	case err == nil && joined:
		return uid, missing(sas, uid, wanted), nil
	case err == nil:
		return uid, wanted, nil
	case ctx.Err() != nil:
		return uid, nil, s.ended(ctx)
	}
	return uid, nil, status.Errorf(codes.FailedPrecondition, "%v", err)
}

// missing returns which of the children wanted an IKE SA does not have.
func missing(sas []machine.Info, uid event.UID, wanted []string) []string {
	i := slices.IndexFunc(sas, func(info machine.Info) bool { return info.UID == uid })
	if i < 0 {
		return wanted
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return hasChild(sas[i], name) })
}

// ended returns why a call ends early.
func (s *Server) ended(ctx context.Context) error {
	if s.quit.Err() != nil {
		return status.Error(codes.Unavailable, "control: the daemon is stopping")
	}
	return status.FromContextError(ctx.Err()).Err()
}

func sendVerdict(stream grpc.ServerStreamingServer[controlv1.UpResponse], v *controlv1.Verdict) error {
	return stream.Send(&controlv1.UpResponse{What: &controlv1.UpResponse_Verdict{Verdict: v}})
}

// follower follows one attempt.
type follower struct {
	s      *Server
	stream grpc.ServerStreamingServer[controlv1.UpResponse]
	conn   string
	uid    event.UID
	wanted []string // children that are still to come
	failed bool     // one of them has failed
}

func (f *follower) run(ctx context.Context, sub *bus.Subscription, timeout time.Duration) error {
	limited := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	for {
		r, err := sub.Next(limited)
		switch {
		case err == nil:
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			return f.verdict(ctx, controlv1.Verdict_TIMED_OUT)
		case errors.Is(err, bus.ErrClosed):
			return status.Error(codes.Unavailable, "control: the daemon is stopping")
		default:
			return f.s.ended(ctx)
		}
		if r.Subject.IKE != f.uid {
			continue
		}
		if err := f.stream.Send(&controlv1.UpResponse{What: &controlv1.UpResponse_Event{Event: f.s.eventMessage(r)}}); err != nil {
			return err
		}
		if result := f.take(r.Event); result != controlv1.Verdict_RESULT_UNSPECIFIED {
			return f.verdict(ctx, result)
		}
	}
}

// take returns the verdict when the event decides it.
func (f *follower) take(e event.Event) controlv1.Verdict_Result {
	switch e := e.(type) {
	case event.IKEFailed, event.IKEDeleted:
		return controlv1.Verdict_FAILED
	case event.ChildEstablished:
		f.drop(e.Child.Name)
	case event.ChildFailed:
		f.failed = f.failed || slices.Contains(f.wanted, e.Name)
		f.drop(e.Name)
	case event.IKEEstablished: // without children there is nothing to wait for
	default:
		return controlv1.Verdict_RESULT_UNSPECIFIED
	}
	switch {
	case len(f.wanted) > 0:
		return controlv1.Verdict_RESULT_UNSPECIFIED
	case f.failed:
		return controlv1.Verdict_FAILED
	}
	return controlv1.Verdict_UP
}

func (f *follower) drop(name string) {
	f.wanted = slices.DeleteFunc(f.wanted, func(w string) bool { return w == name })
}

// verdict ends the call: with the SA when it is up, with the explanation when it is not.
func (f *follower) verdict(ctx context.Context, result controlv1.Verdict_Result) error {
	v := &controlv1.Verdict{Result: result, IkeUid: f.uid.String()}
	if result == controlv1.Verdict_UP {
		sas, err := f.s.sas(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(sas, func(i machine.Info) bool { return i.UID == f.uid }); i >= 0 {
			v.Sa = saMessage(sas[i])
		}
		return sendVerdict(f.stream, v)
	}
	v.Explanation = f.s.c.History.explainAttempt(f.conn, f.uid, f.s.c.Snapshot())
	return sendVerdict(f.stream, v)
}
