package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// PortError says that a socket could not be bound, and what to do.
type PortError struct {
	Addr   netip.AddrPort
	Remedy string // "" when there is no advice
	Err    error  // of the kernel
}

// Error implements error.
func (e *PortError) Error() string {
	s := fmt.Sprintf("transport: cannot bind udp port %d on %s: %s", e.Addr.Port(), e.Addr.Addr(), cause(e.Err))
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the kernel's error.
func (e *PortError) Unwrap() error { return e.Err }

// cause is the kernel's error without the wrapping of package net, which repeats the address.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

func portError(addr netip.AddrPort, err error) error {
	return &PortError{Addr: addr, Remedy: remedy(addr, err), Err: err}
}

func remedy(addr netip.AddrPort, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("%s; stop it, or choose other ports or addresses to listen on", probableOwner("/proc"))
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE (setcap cap_net_bind_service+ep, or " +
			"AmbientCapabilities= in a systemd unit)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("%s is not an address of this machine (see ip addr); add it or leave it out", addr.Addr())
	}
	return ""
}

// noFamily reports whether the kernel has no such address family, or has it switched off.
func noFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// daemons are the process names of programs that own ports 500 and 4500.
var daemons = []string{"charon", "charon-systemd", "charon-nm", "pluto", "iked", "racoon", "isakmpd", "starter", "parleyd", pluginName}

// pluginName is the process of a plugin. It holds our encapsulation socket too, which counts when its daemon was killed.
const pluginName = "parley-plugin"

// probableOwner names the other IKE daemon, by a look at the process table under proc.
func probableOwner(proc string) string {
	var found, plugins []string
	comms, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	for _, path := range comms {
		pid := filepath.Base(filepath.Dir(path))
		b, err := os.ReadFile(path)
		name := strings.TrimSpace(string(b))
		if err == nil && slices.Contains(daemons, name) && pid != fmt.Sprint(os.Getpid()) && sameNetwork(proc, pid) {
			list := &found
			if name == pluginName {
				list = &plugins
			}
			*list = append(*list, fmt.Sprintf("%s (pid %s)", name, pid))
		}
	}
	if len(found) == 0 {
		found = plugins
	}
	if len(found) == 0 {
		return "another program has it, probably another IKE daemon (strongSwan's charon, Libreswan's pluto, iked, " +
			"racoon, parleyd; see ss -ulpn)"
	}
	return "probably it belongs to " + strings.Join(found, " or ")
}

// sameNetwork reports whether a process may be in our network namespace; only then can it have our port.
func sameNetwork(proc, pid string) bool {
	ours, err1 := os.Readlink(filepath.Join(proc, "self", "ns", "net"))
	theirs, err2 := os.Readlink(filepath.Join(proc, pid, "ns", "net"))
	return err1 != nil || err2 != nil || ours == theirs
}
