package serve

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Server is what Main serves: the base service and the exchange of some services. Only tests and hosts in the same
// process need it. It is safe for concurrent use.
type Server struct {
	basev1.UnimplementedPluginServer
	info     Info
	services []*service
	files    map[string]*os.File
	features []string
	ended    func(error) // called when an exchange over gRPC ended; nil: nothing
	drained  atomic.Bool
}

type service struct {
	kind, name string
	impl       any
	handle     handler
	prompt     bool  // see sdk.Prompt
	ask        asker // of an auth.Questioner, else nil
	describe   func(*basev1.Provided)
}

// New returns the server for items. It fails when two services have the same kind and name, or when there is none.
func New(items ...Item) (*Server, error) {
	s := &Server{}
	for _, item := range items {
		if err := item.addTo(s); err != nil {
			return nil, err
		}
	}
	if len(s.services) == 0 {
		return nil, fmt.Errorf("serve: no service given; pass at least one of serve.KE, Auth, Cred, SA")
	}
	if s.info.Name == "" {
		s.info.Name = s.services[0].kind + "-" + s.services[0].name
	}
	return s, nil
}

func (i Info) addTo(s *Server) error { s.info = i; return nil }

func (v *service) addTo(s *Server) error {
	if v.name == "" || v.impl == nil {
		return fmt.Errorf("serve: %s service %q needs a name and an implementation", v.kind, v.name)
	}
	if s.find(v.kind, v.name) != nil {
		return fmt.Errorf("serve: %s service %q is given twice", v.kind, v.name)
	}
	_, v.prompt = v.impl.(sdk.Prompt)
	s.services = append(s.services, v)
	return nil
}

// find returns the service of a kind by name; an empty name means the kind's only one.
func (s *Server) find(kind, name string) *service {
	var found *service
	for _, v := range s.services {
		switch {
		case v.kind != kind:
		case v.name == name:
			return v
		case name == "" && found != nil:
			return nil
		case name == "":
			found = v
		}
	}
	return found
}

// Register adds the base service to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) { basev1.RegisterPluginServer(g, s) }

// Describe implements the base service.
func (s *Server) Describe(context.Context, *basev1.DescribeRequest) (*basev1.Manifest, error) {
	m := &basev1.Manifest{Name: s.info.Name, Version: s.info.Version, Vendor: s.info.Vendor, Features: s.features}
	for _, v := range s.services {
		provided := &basev1.Provided{Kind: v.kind, Name: v.name, ApiVersion: link.APIVersion}
		if c, ok := v.impl.(Configurer); ok {
			provided.ConfigSchema = c.Schema()
		}
		v.describe(provided)
		m.Provides = append(m.Provides, provided)
	}
	return m, nil
}

// Validate implements the base service.
func (s *Server) Validate(_ context.Context, r *basev1.ValidateRequest) (*basev1.ValidateResponse, error) {
	return &basev1.ValidateResponse{Problems: s.problems(r.GetServices())}, nil
}

func (s *Server) problems(configs []*basev1.ServiceConfig) (problems []string) {
	for _, c := range configs {
		v := s.find(c.GetKind(), c.GetName())
		if v == nil {
			problems = append(problems, fmt.Sprintf("%s %q: this plugin provides no such service", c.GetKind(), c.GetName()))
			continue
		}
		configurer, ok := v.impl.(Configurer)
		switch {
		case ok:
			for _, p := range configurer.Validate(orEmpty(c.GetJson())) {
				problems = append(problems, fmt.Sprintf("%s %q: %s", v.kind, v.name, p))
			}
		case len(c.GetJson()) > 0 && string(c.GetJson()) != "{}":
			problems = append(problems, fmt.Sprintf("%s %q: this service takes no configuration; remove it", v.kind, v.name))
		}
	}
	return problems
}

func orEmpty(config []byte) []byte {
	if len(config) == 0 {
		return []byte("{}")
	}
	return config
}

// Configure implements the base service: every Configurer is called, also those for which there is no configuration.
func (s *Server) Configure(ctx context.Context, r *basev1.ConfigureRequest) (*basev1.ConfigureResponse, error) {
	problems := s.problems(r.GetServices())
	if len(problems) > 0 {
		return &basev1.ConfigureResponse{Problems: problems}, nil
	}
	env := Env{Owner: r.GetOwner(), RuntimeDir: r.GetRuntimeDir(), Node: r.GetNode(), Files: s.files}
	for _, v := range s.services {
		configurer, ok := v.impl.(Configurer)
		if !ok {
			continue
		}
		if err := configurer.Configure(ctx, env, orEmpty(s.configOf(v, r.GetServices()))); err != nil {
			problems = append(problems, fmt.Sprintf("%s %q: %v", v.kind, v.name, err))
		}
	}
	return &basev1.ConfigureResponse{Problems: problems}, nil
}

func (s *Server) configOf(v *service, configs []*basev1.ServiceConfig) []byte {
	for _, c := range configs {
		if s.find(c.GetKind(), c.GetName()) == v {
			return c.GetJson()
		}
	}
	return nil
}

// Health implements the base service with the canaries of the services that have one.
func (s *Server) Health(ctx context.Context, _ *basev1.HealthRequest) (*basev1.HealthResponse, error) {
	response := &basev1.HealthResponse{}
	for _, v := range s.services {
		response.Services = append(response.Services, v.health(ctx))
	}
	return response, nil
}

func (v *service) health(ctx context.Context) *basev1.ServiceHealth {
	health := &basev1.ServiceHealth{Kind: v.kind, Name: v.name, Ok: true}
	canary, ok := v.impl.(sdk.Canary)
	if !ok {
		return health
	}
	start := time.Now()
	_, err := guard(func() ([]byte, error) { return nil, canary.Canary(ctx) })
	health.CanaryNs = uint64(time.Since(start))
	if err != nil {
		health.Ok, health.Detail = false, err.Error()
	}
	return health
}

// Drain implements the base service.
func (s *Server) Drain(ctx context.Context, r *basev1.DrainRequest) (*basev1.DrainResponse, error) {
	s.drained.Store(true)
	for _, v := range s.services {
		if d, ok := v.impl.(Drainer); ok {
			d.Drain(ctx, r.GetRemove())
		}
	}
	return &basev1.DrainResponse{}, nil
}

// Exchange implements the base service, for hosts without the framed carrier.
func (s *Server) Exchange(stream basev1.Plugin_ExchangeServer) error {
	err := s.ServeExchange(stream.Context(), link.NewStream(stream, func() error { return nil }))
	if s.ended != nil {
		s.ended(err)
	}
	return err
}
