package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Reconfigure gives plugins that run another configuration, by their names; what is not named keeps its own. First all of them
// judge it: when one refuses, or is not up to judge, nothing changes. A plugin that dies in between gets it at its restart.
func (h *Host) Reconfigure(ctx context.Context, services map[string][]ServiceConfig) error {
	var changed []*supervisor
	var problems []error
	for _, s := range h.supervisors {
		if wanted, named := services[s.entry.Name]; named && !reflect.DeepEqual(wanted, s.current().Services) {
			changed = append(changed, s)
			problems = append(problems, s.judge(ctx, wanted))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for _, s := range changed {
		problems = append(problems, s.reconfigure(ctx, services[s.entry.Name]))
	}
	return errors.Join(problems...)
}

// current returns the entry with the configuration that is in force.
func (s *supervisor) current() *Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := *s.entry
	if s.services != nil {
		e.Services = s.services
	}
	return &e
}

// process returns what runs, nil while the plugin is down.
func (s *supervisor) process() *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// judge asks the plugin what it thinks of a configuration.
func (s *supervisor) judge(ctx context.Context, services []ServiceConfig) error {
	r := s.process()
	if r == nil {
		return fmt.Errorf("pluginhost: plugin %q is down and cannot judge its new configuration: look at its log, and try again when it is up", s.entry.Name)
	}
	valid, err := r.base.Validate(ctx, &basev1.ValidateRequest{Services: serviceConfigs(services)}, callLimits...)
	return s.refusal(valid.GetProblems(), err)
}

func (s *supervisor) reconfigure(ctx context.Context, services []ServiceConfig) error {
	s.mu.Lock()
	s.services = slices.Clone(services)
	r := s.running
	s.mu.Unlock()
	if r == nil { // it gets it when it is started again
		return nil
	}
	request, err := s.host.configuration(s.current())
	if err != nil {
		return err
	}
	applied, err := r.base.Configure(ctx, request, callLimits...)
	return s.refusal(applied.GetProblems(), err)
}

func (s *supervisor) refusal(problems []string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("pluginhost: plugin %q: %s", s.entry.Name, clean(err.Error()))
	case len(problems) > 0:
		return fmt.Errorf("pluginhost: plugin %q refuses its configuration: %s", s.entry.Name, clean(strings.Join(problems, "; ")))
	}
	return nil
}

// configuration is what a plugin is configured with.
func (h *Host) configuration(e *Entry) (*basev1.ConfigureRequest, error) {
	dir, err := h.pluginDir(e)
	if err != nil {
		return nil, err
	}
	return &basev1.ConfigureRequest{Owner: h.cfg.Owner, RuntimeDir: dir, Node: h.cfg.Node, Services: serviceConfigs(e.Services)}, nil
}

func serviceConfigs(all []ServiceConfig) (out []*basev1.ServiceConfig) {
	for _, s := range all {
		out = append(out, &basev1.ServiceConfig{Kind: s.Kind, Name: s.Name, Json: s.JSON})
	}
	return out
}
