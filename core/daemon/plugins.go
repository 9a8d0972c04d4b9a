package daemon

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/pluginhost"
)

// standard is the set of first-party plugins: one process for each kind, and one for private keys, which take milliseconds where
// pre-shared keys take microseconds (see sdk.Prompt).
var standard = []struct {
	name       string // "": the kind
	kind       string
	names      []string
	privileges []string
}{
	{kind: "ke", names: []string{"curve", "ecp", "modp"}},
	{kind: "auth", names: []string{"psk"}},
	{name: "signature", kind: "auth", names: []string{"signature", "rsaenc"}},
	{kind: "cred", names: []string{"file"}},
	{kind: "sa", names: []string{"userspace", "xfrm", "pfkey", "offload"}, privileges: []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}},
}

// catalogue returns the plugins to run: those that the configuration names, and first-party ones for the kinds that it
// does not name.
func catalogue(s *config.Snapshot, path string, encap map[string]*os.File) ([]pluginhost.Entry, error) {
	var entries []pluginhost.Entry
	for _, p := range s.Plugins {
		entries = append(entries, configured(p, encap))
	}
	for _, set := range standard {
		named := slices.ContainsFunc(s.Plugins, func(p config.Plugin) bool { return slices.Contains(p.Kinds, set.kind) })
		if named {
			continue
		}
		e := pluginhost.Entry{Name: cmp.Or(set.name, set.kind), Path: path, Kinds: []string{set.kind}, Privileges: set.privileges}
		for _, name := range set.names {
			e.Args = append(e.Args, set.kind+":"+name)
		}
		if set.kind == "sa" {
			e.Files = encap
		}
		if set.kind == "cred" {
			raw, err := credentials(s)
			if err != nil {
				return nil, err
			}
			e.Services = []pluginhost.ServiceConfig{{Kind: "cred", Name: "file", JSON: raw}}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// configured is an entry of the configuration. The configuration of the process goes to the service that has the name of
// the plugin, or to its only one.
func configured(p config.Plugin, encap map[string]*os.File) pluginhost.Entry {
	e := pluginhost.Entry{Name: p.Name, Path: p.Path, SHA256: p.SHA256, Args: p.Args, Kinds: p.Kinds, Privileges: capabilities(p.Privileges), User: p.User}
	if slices.Contains(p.Kinds, "sa") {
		e.Files = encap
	}
	if p.Config != nil && len(p.Kinds) > 0 {
		e.Services = []pluginhost.ServiceConfig{{Kind: p.Kinds[0], JSON: p.Config}}
	}
	return e
}

// capabilities gives privileges of the configuration ("net_admin") the names of capabilities(7).
func capabilities(privileges []string) (all []string) {
	for _, p := range privileges {
		all = append(all, "CAP_"+strings.TrimPrefix(strings.ToUpper(p), "CAP_"))
	}
	return all
}

// encapNames gives the sockets for ESP in UDP the names under which SA backends find them: natt4, natt6, and with more
// than one of a family natt4-1 and so on.
func encapNames(files []*os.File) (map[string]*os.File, error) {
	named := map[string]*os.File{}
	for _, f := range files {
		addr, err := localAddr(f)
		if err != nil {
			return nil, fmt.Errorf("daemon: socket for ESP in UDP: %w", err)
		}
		name := "natt6"
		if addr.Is4() {
			name = "natt4"
		}
		for base, i := name, 1; named[name] != nil; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		named[name] = f
	}
	return named, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func localAddr(f *os.File) (netip.Addr, error) {
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return netip.Addr{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr), nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr), nil
	}
	return netip.Addr{}, net.UnknownNetworkError("of no internet family")
}
