package control

import (
	"context"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// unary admits a caller, and tells of the request when it is done.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	who, err := s.admit(ctx)
	if err == nil {
		answer, err = handle(ctx, req)
	}
	s.tell(who, info.FullMethod, target(req), result(err))
	return answer, err
}

// stream does the same. That somebody follows events is told at the beginning, because it may never end.
func (s *Server) stream(_ any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	who, err := s.admit(stream.Context())
	w := &watched{ServerStream: stream}
	if err != nil {
		s.tell(who, info.FullMethod, "", result(err))
		return err
	}
	if info.FullMethod == controlv1.Control_Events_FullMethodName {
		w.received = func() { s.tell(who, info.FullMethod, w.target, "ok") }
		return handle(s, w)
	}
	err = handle(s, w)
	r := result(err)
	if err == nil && w.verdict != "" {
		r = w.verdict
	}
	s.tell(who, info.FullMethod, w.target, r)
	return err
}

func (s *Server) tell(who caller, method, target, result string) {
	s.c.Bus.Publish(event.Record{Subject: event.Subject{}, Event: event.ControlRequested{
		UID: who.uid, PID: who.pid, Verb: strings.ToLower(path.Base(method)), Target: clean(target), Result: clean(result)}})
}

// watched notes what a stream is about and how it ended.
type watched struct {
	grpc.ServerStream
	received func()
	target   string
	verdict  string
}

// RecvMsg implements grpc.ServerStream.
func (w *watched) RecvMsg(m any) error {
	err := w.ServerStream.RecvMsg(m)
	if err == nil {
		w.target = target(m)
		if w.received != nil {
			w.received()
		}
	}
	return err
}

// SendMsg implements grpc.ServerStream.
func (w *watched) SendMsg(m any) error {
	if u, ok := m.(*controlv1.UpResponse); ok && u.GetVerdict() != nil {
		v := u.GetVerdict()
		w.verdict = strings.ToLower(v.Result.String())
		if code := v.GetExplanation().GetCode(); code != "" {
			w.verdict += ": " + code
		}
	}
	return w.ServerStream.SendMsg(m)
}

// target says what a request is about.
func target(req any) string {
	switch r := req.(type) {
	case *controlv1.UpRequest:
		return join(r.Connection, strings.Join(r.Children, ","))
	case *controlv1.DownRequest:
		return join(r.Connection, r.Child, r.Sa)
	case *controlv1.RedirectRequest:
		return join(r.Connection, r.To)
	case *controlv1.RekeyRequest:
		return join(r.Connection, r.Child, r.Sa)
	case *controlv1.ReauthenticateRequest:
		return join(r.Connection, r.Sa)
	case *controlv1.ListSAsRequest:
		return r.Connection
	case *controlv1.ShowSARequest:
		return r.Sa
	case *controlv1.ExplainRequest:
		return r.Target
	case *controlv1.ReloadRequest:
		if r.DryRun {
			return "dry run"
		}
	case *controlv1.EventsRequest:
		return join(r.Connection, strings.Join(r.Names, ","))
	}
	return ""
}

func join(parts ...string) string {
	var all []string
	for _, p := range parts {
		if p != "" {
			all = append(all, p)
		}
	}
	return strings.Join(all, " ")
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.ToLower(status.Code(err).String())
}
