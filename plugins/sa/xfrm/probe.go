package xfrm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// probeSPI is reserved by IANA, so that no real SA has it (RFC 4303 section 2.1).
const probeSPI = 255

// Addresses of the throw-away SA; nothing is ever sent to them (RFC 5737, RFC 3849).
var (
	probe4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("192.0.2.255")}
	probe6 = [2]netip.Addr{netip.MustParseAddr("2001:db8::fffe"), netip.MustParseAddr("2001:db8::ffff")}
)

// Probe implements sa.Plugin. It installs and deletes SAs that carry nothing.
func (p *Plugin) Probe(context.Context) (sa.Capabilities, error) {
	var c sa.Capabilities
	p.Locked(func() { c = p.probe() })
	return c, nil
}

func (p *Plugin) probe() sa.Capabilities {
	c := sa.Capabilities{Name: p.name, Modes: []sa.Mode{sa.Tunnel, sa.Transport}, ESN: true, Encap: p.CanEncap(),
		MaxReplayWindow: maxReplayWindow, Traps: true, TFC: true, Settings: p.kernel.Settings(), Offload: "none", Epoch: kernel.BootEpoch()}
	if p.opening != nil {
		c.Reason = fmt.Sprintf("sa/%s: %v", p.name, p.opening)
		return c
	}
	if err := p.try(probe4, 20, 128, 0); err != nil {
		c.Reason = fmt.Sprintf("sa/%s: the kernel refused an ESP SA with AES-GCM: %v", p.name, meaning(err))
		return c
	}
	c.Usable, c.Reason = true, "the kernel does ESP over IPv4 and IPv6"
	if err := p.try(probe6, 20, 128, 0); err != nil {
		c.Reason = fmt.Sprintf("the kernel does ESP over IPv4 only; over IPv6: %v", meaning(err))
	}
	c.Algorithms = algorithms(func(encr, bits, integ uint16) error { return p.try(probe4, encr, bits, integ) })
	p.probeCards(&c)
	return c
}

// algorithms tries every one.
func algorithms(try func(encr, bits, integ uint16) error) (out []sa.Algorithm) {
	for _, id := range []uint16{20, 12, 28, 3} {
		a := sa.Algorithm{Type: 1, ID: id}
		integ := uint16(0)
		if !ciphers[id].aead {
			integ = 2
		}
		if ciphers[id].bits == nil {
			if try(id, 0, integ) == nil {
				out = append(out, a)
			}
			continue
		}
		for _, bits := range ciphers[id].bits {
			if try(id, bits, integ) == nil {
				a.KeyBits = append(a.KeyBits, bits)
			}
		}
		if a.KeyBits != nil {
			out = append(out, a)
		}
	}
	for _, id := range []uint16{2, 12, 13, 14} {
		if try(12, 128, id) == nil {
			out = append(out, sa.Algorithm{Type: 3, ID: id})
		}
	}
	return out
}

// try installs and deletes one throw-away SA.
func (p *Plugin) try(addrs [2]netip.Addr, encr, bits, integ uint16) error {
	c := trial(addrs, encr, bits, integ)
	if err := p.kernel.putSA(c, kernel.Outbound(c), nil); err != nil {
		return err
	}
	return p.kernel.dropSA(kernel.Outbound(c))
}

// meaning adds to an error of the kernel what it means here and how to mend it.
func meaning(err error) error {
	for errno, text := range map[unix.Errno]string{
		unix.EPROTONOSUPPORT: "the kernel has no IPsec of this kind; load the modules xfrm_user, esp4 and esp6 (CONFIG_XFRM_USER, CONFIG_INET_ESP, CONFIG_INET6_ESP) or use the userspace backend",
		unix.EAFNOSUPPORT:    "the kernel lacks the address family or its ESP; load esp4 or esp6, or use the userspace backend",
		unix.ENOSYS:          "the kernel lacks the algorithm, and perhaps ESP itself; load esp4, esp6 and the crypto modules (for AES-GCM: gcm, seqiv, aes), or use the userspace backend",
		unix.EPERM:           "CAP_NET_ADMIN is missing; run as root, or grant the plugin the capability",
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w (%s): %s", err, unix.ErrnoName(errno), text)
		}
	}
	return err
}
