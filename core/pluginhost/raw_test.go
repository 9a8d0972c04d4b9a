package pluginhost

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// rawPlugin speaks the protocol without the SDK, so that it can break it.
type rawPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	basev1.UnimplementedPluginServer
	mode string
	owed *basev1.Frame
}

func raw(mode string) {
	p := &rawPlugin{mode: mode}
	if fd, err := strconv.Atoi(os.Getenv(link.EnvExchange)); err == nil {
		f := os.NewFile(uintptr(fd), "exchange")
		if conn, err := net.FileConn(f); err == nil {
			go p.exchange(conn)
		}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: link.CookieKey, MagicCookieValue: link.CookieValue},
		Plugins:         plugin.PluginSet{"parley": p},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
}

func (p *rawPlugin) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	basev1.RegisterPluginServer(g, p)
	return nil
}

func (*rawPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (p *rawPlugin) Describe(_ context.Context, _ *basev1.DescribeRequest) (*basev1.Manifest, error) {
	provided := &basev1.Provided{Kind: "ke", Name: "raw", ApiVersion: 1, Methods: []uint32{echoMethod}}
	switch p.mode {
	case "raw-hang-describe":
		select {}
	case "raw-version":
		provided.ApiVersion = 9
	case "raw-kind":
		provided.Kind = "sa"
	}
	return &basev1.Manifest{Name: "raw", Provides: []*basev1.Provided{provided}, Features: []string{link.FeatureFramed}}, nil
}

func (p *rawPlugin) Validate(context.Context, *basev1.ValidateRequest) (*basev1.ValidateResponse, error) {
	if p.mode == "raw-config" {
		return &basev1.ValidateResponse{Problems: []string{"slot 7 does not exist"}}, nil
	}
	return &basev1.ValidateResponse{}, nil
}

func (p *rawPlugin) Configure(context.Context, *basev1.ConfigureRequest) (*basev1.ConfigureResponse, error) {
	return &basev1.ConfigureResponse{}, nil
}

func (p *rawPlugin) Drain(context.Context, *basev1.DrainRequest) (*basev1.DrainResponse, error) {
	return &basev1.DrainResponse{}, nil
}

// exchange answers each request as the mode says.
func (p *rawPlugin) exchange(conn net.Conn) {
	carrier := link.NewFramed(conn)
	for {
		batch, err := carrier.Recv()
		if err == io.EOF {
			os.Exit(0)
		}
		for _, f := range batch.GetFrames() {
			if f.GetReply() { // to our own request of "raw-asks": only a refusal makes us answer
				if f.GetId() == 5 && f.GetError().GetKind() == basev1.Error_REFUSED {
					_ = carrier.Send(&basev1.Batch{Frames: []*basev1.Frame{p.owed}})
				}
				continue
			}
			p.answer(conn, carrier, f)
		}
	}
}

func (p *rawPlugin) answer(conn net.Conn, carrier link.Carrier, f *basev1.Frame) {
	ok := &basev1.Frame{Id: f.GetId(), Reply: true, Body: []byte{10, 1, 65, 18, 1, 66}} // two fields of one octet
	send := func(frames ...*basev1.Frame) { _ = carrier.Send(&basev1.Batch{Frames: frames}) }
	switch p.mode {
	case "raw-twice":
		send(ok, ok, &basev1.Frame{Id: 1 << 60, Reply: true, Body: []byte{1}})
	case "raw-junk":
		send(&basev1.Frame{Id: f.GetId(), Reply: true, Body: []byte{255, 255, 255}})
	case "raw-kind-unknown":
		send(&basev1.Frame{Id: f.GetId(), Reply: true, Error: &basev1.Error{Kind: 99, Text: "strange\x00\nthings"}})
	case "raw-oversize":
		_, _ = conn.Write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3})
	case "raw-nobatch":
		_, _ = conn.Write([]byte{0, 0, 0, 3, 255, 255, 255})
	case "raw-mute":
	case "raw-asks": // a key exchange has no business with credentials
		p.owed = ok
		send(&basev1.Frame{Id: 5, Op: uint32(basev1.Op_OP_CRED_MAC), Body: []byte("x")})
	default:
		send(ok)
	}
}
