package pluginhost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Limits of what a manifest may claim.
const (
	maxServices = 256
	maxMethods  = 1024
	maxName     = 64
	// maxKeyExchange bounds public values and secrets: ten times what the largest KEMs have.
	maxKeyExchange = 64 << 10
)

// checkManifest compares what a plugin provides with what the catalogue promises, and makes it safe to use and to show.
func checkManifest(e *Entry, m *basev1.Manifest) error {
	lie := func(format string, args ...any) error {
		return &RejectError{Reason: fmt.Sprintf(format, args...), Remedy: "correct the plugin block, or install the plugin that it means"}
	}
	if len(m.GetProvides()) > maxServices {
		return lie("claims to provide %d services, limit %d", len(m.GetProvides()), maxServices)
	}
	m.Name, m.Version, m.Vendor = clean(m.GetName()), clean(m.GetVersion()), clean(m.GetVendor())
	for _, p := range m.GetProvides() {
		if err := checkProvided(p); err != nil {
			return err
		}
		if !slices.Contains(e.Kinds, p.GetKind()) {
			return lie("provides kind %q, which its block does not allow (kinds %s)", clean(p.GetKind()), strings.Join(e.Kinds, ", "))
		}
	}
	for _, kind := range e.Kinds {
		if provides(m, kind, "") == nil {
			return lie("provides nothing of kind %q, which its block promises; it provides %s", kind, summary(m))
		}
	}
	for _, s := range e.Services {
		if provides(m, s.Kind, s.Name) == nil {
			return lie("does not provide %s %q, which its block configures; it provides %s", s.Kind, s.Name, summary(m))
		}
	}
	return nil
}

func checkProvided(p *basev1.Provided) error {
	malformed := func(format string, args ...any) error {
		return &RejectError{Reason: "its manifest is wrong: " + fmt.Sprintf(format, args...), Remedy: "report it to the plugin's vendor"}
	}
	switch {
	case p.GetName() == "" || len(p.GetName()) > maxName || clean(p.GetName()) != p.GetName():
		return malformed("service name %q", clean(p.GetName()))
	case p.GetApiVersion() != link.APIVersion:
		return &RejectError{
			Reason: fmt.Sprintf("%s %q speaks version %d of its kind's messages, this daemon speaks %d", clean(p.GetKind()), p.GetName(), p.GetApiVersion(), link.APIVersion),
			Remedy: "install the release of the plugin for this daemon, or the other way round",
		}
	case len(p.GetMethods()) > maxMethods || len(p.GetKeyExchanges()) > maxMethods || len(p.GetAuths()) > maxMethods || len(p.GetCapabilities()) > maxMethods:
		return malformed("%q claims more than %d methods", p.GetName(), maxMethods)
	}
	for _, m := range p.GetKeyExchanges() {
		if m.GetPublicLen() > maxKeyExchange || m.GetResponseLen() > maxKeyExchange || m.GetSecretLen() > maxKeyExchange {
			return malformed("method %d has values of more than %d octets", m.GetId(), maxKeyExchange)
		}
	}
	for i, c := range p.GetCapabilities() {
		p.Capabilities[i] = clean(c)
	}
	return nil
}

// provides finds a service; an empty name means any of the kind.
func provides(m *basev1.Manifest, kind, name string) *basev1.Provided {
	for _, p := range m.GetProvides() {
		if p.GetKind() == kind && (name == "" || p.GetName() == name) {
			return p
		}
	}
	return nil
}

// summary lists the services of a manifest: "ke:curve ke:ecp".
func summary(m *basev1.Manifest) string {
	var names []string
	for _, p := range m.GetProvides() {
		names = append(names, p.GetKind()+":"+p.GetName())
	}
	if len(names) == 0 {
		return "nothing"
	}
	return clean(strings.Join(names, " "))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
