package pfkey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Types of transforms (RFC 7296 section 3.3.2).
const (
	typeEncryption, typeIntegrity = 1, 3
)

// keySizes are those of the ciphers that we use, in bits (IANA, IKEv2 transform type 1).
var keySizes = map[uint16][]uint16{3: {tripleDES}, 12: {128, 192, 256}, 20: {128, 192, 256}}

// tripleDES is the only size of a key for 3DES, parity bits included, which is not named in proposals (RFC 2451 section 2.1).
const tripleDES = 192

// Flags of SAs that Linux has.
const (
	flagNoPMTU = 0x20000000 // SADB_SAFLAGS_NOPMTUDISC
	flagNoECN  = 0x80000000 // SADB_SAFLAGS_NOECN
)

var settings = []string{sa.SettingDF, sa.SettingECN, sa.SettingBypass, sa.SettingDiscard}

// Settings implements kernel.Handler.
func (d *driver) Settings() []string { return settings }

func flags(h *sa.Handling) (f uint32) {
	if h.ClearDF {
		f |= flagNoPMTU
	}
	if h.IgnoreECN {
		f |= flagNoECN
	}
	return f
}

// usable lists what of a dialect's algorithms a kernel supports and others understand.
func usable(d *pfkeyv2.Dialect, answer *pfkeyv2.Message) (out []sa.Algorithm) {
	for _, id := range slices.Sorted(maps.Keys(d.Ciphers)) {
		a := sa.Algorithm{Type: typeEncryption, ID: id}
		for _, has := range answer.Ciphers {
			for _, bits := range keySizes[id] {
				if has.ID == d.Ciphers[id].ID && has.MinBits <= bits && bits <= has.MaxBits {
					a.KeyBits = append(a.KeyBits, bits)
				}
			}
		}
		if a.KeyBits != nil {
			if len(keySizes[id]) == 1 {
				a.KeyBits = nil
			}
			out = append(out, a)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.Integrities)) {
		in := d.Integrities[id]
		if in.ICV == in.ICVSpec && slices.ContainsFunc(answer.Auths, func(a pfkeyv2.Algorithm) bool { return a.ID == in.ID }) {
			out = append(out, sa.Algorithm{Type: typeIntegrity, ID: id})
		}
	}
	return out
}

// Check implements kernel.Driver.
func (d *driver) Check(c *sa.Child) error {
	switch {
	case c.ESN && !d.dialect.ESN:
		return fmt.Errorf("extended sequence numbers through PF_KEY: %w", sdk.ErrUnsupported)
	case c.TFC != 0:
		return fmt.Errorf("padding through PF_KEY: %w", sdk.ErrUnsupported)
	case c.ReplayWindow > d.dialect.MaxWindow:
		return fmt.Errorf("replay window of %d packets; at most %d: %w", c.ReplayWindow, d.dialect.MaxWindow, sdk.ErrUnsupported)
	case !oneFamily(c):
		return fmt.Errorf("IPv4 and IPv6 selectors in one child through PF_KEY; make two children: %w", sdk.ErrUnsupported)
	}
	return d.checkTransforms(c)
}

// oneFamily: an SA has one family inside.
func oneFamily(c *sa.Child) bool {
	first := c.LocalTS[0].Start.BitLen()
	return !slices.ContainsFunc(slices.Concat(c.LocalTS, c.RemoteTS), func(s sa.Selector) bool { return s.Start.BitLen() != first })
}

func (d *driver) checkTransforms(c *sa.Child) error {
	ci, in := d.dialect.Ciphers[c.Encr], d.dialect.Integrities[c.Integ]
	if !d.has(typeEncryption, c.Encr, c.KeyBits) {
		return fmt.Errorf("encryption transform %d with %d bits: %w", c.Encr, c.KeyBits, sdk.ErrUnsupported)
	}
	if ci.AEAD != (c.Integ == 0) || !ci.AEAD && !d.has(typeIntegrity, c.Integ, 0) {
		return fmt.Errorf("integrity transform %d with encryption transform %d: %w", c.Integ, c.Encr, sdk.ErrUnsupported)
	}
	bits := c.KeyBits
	if bits == 0 {
		bits = keySizes[c.Encr][0]
	}
	want := int(bits)/8 + ci.Salt
	if len(c.EncrIn) != want || len(c.EncrOut) != want || len(c.IntegIn) != in.Key || len(c.IntegOut) != in.Key {
		return fmt.Errorf("keys of %d and %d octets, where %d and %d are needed: %w", len(c.EncrOut), len(c.IntegOut), want, in.Key, sdk.ErrInvalid)
	}
	return nil
}

func (d *driver) has(kind uint8, id, bits uint16) bool {
	return slices.ContainsFunc(d.algorithms, func(a sa.Algorithm) bool {
		return a.Type == kind && a.ID == id && (bits == 0 && a.KeyBits == nil || slices.Contains(a.KeyBits, bits))
	})
}

// probeSPI is reserved by IANA, so that no real SA has it (RFC 4303 section 2.1).
const probeSPI = 255

// Addresses of the throw-away SA; nothing is ever sent to them (RFC 5737, RFC 3849).
var (
	probe4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("192.0.2.255")}
	probe6 = [2]netip.Addr{netip.MustParseAddr("2001:db8::fffe"), netip.MustParseAddr("2001:db8::ffff")}
)

// Probe implements sa.Plugin. It adds and deletes SAs that carry nothing.
func (p *Plugin) Probe(context.Context) (sa.Capabilities, error) {
	var c sa.Capabilities
	p.Locked(func() { c = p.probe() })
	return c, nil
}

func (p *Plugin) probe() sa.Capabilities {
	c := sa.Capabilities{Name: "pfkey", Modes: []sa.Mode{sa.Tunnel, sa.Transport}, Encap: p.CanEncap(), Traps: true, Settings: settings,
		Offload: "none", Epoch: kernel.BootEpoch()}
	if p.opening != nil {
		c.Reason = fmt.Sprintf("sa/pfkey: %v", p.opening)
		return c
	}
	c.MaxReplayWindow, c.ESN, c.Algorithms = p.driver.dialect.MaxWindow, p.driver.dialect.ESN, p.driver.algorithms
	if err := p.driver.try(probe4); err != nil {
		c.Reason = fmt.Sprintf("sa/pfkey: the kernel refused an ESP SA with AES-CBC: %v", meaning(err))
		return c
	}
	c.Usable, c.Reason = true, "the kernel does ESP over IPv4 and IPv6"
	if err := p.driver.try(probe6); err != nil {
		c.Reason = fmt.Sprintf("the kernel does ESP over IPv4 only; over IPv6: %v", meaning(err))
	}
	return c
}

// try adds and deletes one throw-away SA.
func (d *driver) try(addrs [2]netip.Addr) error {
	c := &sa.Child{SPIOut: probeSPI, ReqID: ReqIDBase, Local: addrs[0], Remote: addrs[1], Encr: 12, KeyBits: 128, Integ: 2, EncrOut: slices.Repeat([]byte{0x5a}, 16),
		IntegOut: make([]byte, 20), LocalTS: []sa.Selector{{Start: addrs[0], End: addrs[0]}}}
	if err := d.PutSA(c, kernel.Outbound(c), nil); err != nil {
		return err
	}
	return d.DropSA(c, kernel.Outbound(c))
}

// meaning adds to an error of the kernel what it means here and how to mend it.
func meaning(err error) error {
	for errno, text := range map[unix.Errno]string{
		unix.EAFNOSUPPORT:    "there is no PF_KEY; load the module af_key (CONFIG_NET_KEY) and restart the plugin, or use the xfrm backend",
		unix.EPROTONOSUPPORT: "the kernel has no IPsec of this kind; load esp4 and esp6 (CONFIG_INET_ESP, CONFIG_INET6_ESP), or use the userspace backend",
		unix.ENOSYS:          "the kernel's PF_KEY lacks the algorithm; load its crypto module, or use the xfrm or userspace backend",
		unix.EPERM:           "CAP_NET_ADMIN is missing; run as root, or grant the plugin the capability",
		unix.ENOPROTOOPT:     "the kernel cannot move SAs (CONFIG_NET_KEY_MIGRATE)",
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w (%s): %s", err, unix.ErrnoName(errno), text)
		}
	}
	return err
}
