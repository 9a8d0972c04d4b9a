package control

import (
	"context"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Version implements the RPC.
func (s *Server) Version(context.Context, *controlv1.VersionRequest) (*controlv1.VersionResponse, error) {
	return &controlv1.VersionResponse{Version: s.c.Version, Node: s.c.Node}, nil
}

// Status implements the RPC.
func (s *Server) Status(ctx context.Context, _ *controlv1.StatusRequest) (*controlv1.StatusResponse, error) {
	sas, err := s.c.Engine.SAs(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "control: %v", err)
	}
	out := &controlv1.StatusResponse{Node: s.c.Node, Version: s.c.Version, Pid: int32(os.Getpid()), Started: timestamp(s.c.Started),
		UptimeSeconds: uint32(max(0, time.Since(s.c.Started)/time.Second)), Config: s.c.Source, Counts: s.counts(sas)}
	s.addState(out)
	snapshot := s.c.Snapshot()
	for _, name := range names(snapshot) {
		out.Connections = append(out.Connections, s.connection(snapshot, name, sas))
	}
	return out, nil
}

func (s *Server) addState(out *controlv1.StatusResponse) {
	if s.c.State == nil {
		return
	}
	st := s.c.State()
	out.Listen = st.Listen
	out.Nats = &controlv1.NATS{Mode: st.NATS.Mode, Url: st.NATS.URL, Connected: st.NATS.Connected, Waiting: uint32(st.NATS.Waiting), Reason: clean(st.NATS.Reason)}
	out.Backend = &controlv1.Backend{Name: st.Backend.Name, Reason: clean(st.Backend.Reason), Unset: cleanAll(st.Backend.Unset)}
}

// ending are the states of IKE SAs that are no longer of use.
var ending = []string{"deleting", "closing", "closed"}

func usable(info machine.Info) bool { return !slices.Contains(ending, info.State) }

func (s *Server) counts(sas []machine.Info) *controlv1.Counts {
	c := &controlv1.Counts{}
	for _, info := range sas {
		c.IkeSas++
		switch {
		case !usable(info):
		case info.Established.IsZero():
			c.HalfOpen++
		default:
			c.Established++
			c.ChildSas += uint32(len(info.Children))
		}
	}
	for _, p := range s.plugins() {
		c.Plugins++
		if p.State == "up" {
			c.PluginsUp++
		}
	}
	return c
}

func (s *Server) plugins() []Plugin {
	if s.c.Plugins == nil {
		return nil
	}
	return s.c.Plugins()
}

// connection tells the state of a connection from its SAs, and when nothing is up, from its last attempt.
func (s *Server) connection(snapshot *config.Snapshot, name string, sas []machine.Info) *controlv1.Connection {
	conn, _ := connectionOf(snapshot, name)
	out := &controlv1.Connection{Name: name, State: "down", LocalId: conn.localID, RemoteId: conn.remoteID, Remote: conn.remote, Ike: conn.ike}
	up := map[string]bool{}
	for _, info := range sas {
		switch {
		case info.Conn != name || !usable(info):
		case info.Established.IsZero():
			out.State = "connecting"
		default:
			out.IkeSas++
			if out.Since == nil || info.Established.Before(out.Since.AsTime()) {
				out.Since = timestamp(info.Established)
			}
			for _, c := range info.Children {
				up[c.Name] = true
			}
		}
	}
	for _, child := range conn.children {
		out.Children = append(out.Children, &controlv1.ChildState{Name: child, Up: up[child], Trapped: s.c.Trapped != nil && s.c.Trapped(name, child)})
	}
	if out.State == "down" && slices.ContainsFunc(out.Children, (*controlv1.ChildState).GetTrapped) {
		out.State = "waiting"
	}
	if out.IkeSas > 0 {
		out.State = overall(out.Children)
	}
	if out.State == "down" || out.State == "waiting" || out.State == "partly up" {
		s.addFailure(out, conn, snapshot)
	}
	return out
}

func overall(children []*controlv1.ChildState) string {
	if slices.ContainsFunc(children, func(c *controlv1.ChildState) bool { return !c.Up }) {
		return "partly up"
	}
	return "up"
}

// addFailure tells why the last attempt failed, when it did.
func (s *Server) addFailure(out *controlv1.Connection, conn connection, snapshot *config.Snapshot) {
	attempts, _ := s.c.History.attempts(conn)
	if len(attempts) == 0 {
		return
	}
	e := tell(conn.name, conn, snapshot, attempts[0], nil)
	if !goodCodes[e.Code] {
		out.LastCode, out.LastError = e.Code, e.Sentence
	}
}

// Plugins implements the RPC.
func (s *Server) Plugins(context.Context, *controlv1.PluginsRequest) (*controlv1.PluginsResponse, error) {
	out := &controlv1.PluginsResponse{}
	for _, p := range s.plugins() {
		out.Plugins = append(out.Plugins, pluginMessage(p))
	}
	return out, nil
}

// Explain implements the RPC.
func (s *Server) Explain(_ context.Context, req *controlv1.ExplainRequest) (*controlv1.Explanation, error) {
	e, err := s.c.History.Explain(req.Target, s.c.Snapshot())
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return e, nil
}
