package config

import (
	"strconv"
	"strings"

	"github.com/parley-ike/parley/core/policy"
)

// handling reads how the data plane treats the packets of a child.
func (s *section) handling(c *policy.Child) {
	h := &c.Handling
	s.mark("mark", &h.Mark, &h.MarkMask)
	s.mark("output_mark", &h.OutputMark, &h.OutputMarkMask)
	integer(s, "if_id", &h.IfID, 1, 1<<32-1)
	if t, ok := s.text("interface"); ok {
		if h.Interface = t.value; !isDevice(t.value) {
			s.fail(t.at, "%q is no name of an interface: write 1 to %d letters, digits, \"-\", \"_\" and \".\"", t.value, maxDevice)
		}
		if !s.has("if_id") {
			s.fail(t.at, "interface needs a number: add if_id = 1, or another that no XFRM interface has")
		}
	}
	s.headers(c)
	s.offload(c)
}

// headers reads what crosses the border of a tunnel between inner and outer headers (RFC 4301 section 5.1.2).
func (s *section) headers(c *policy.Child) {
	df, ecn := "copy", true
	s.choice("df", &df, "copy", "clear")
	s.boolean("ecn", &ecn)
	c.Handling.ClearDF, c.Handling.IgnoreECN = df == "clear", !ecn
	chosen(s, "dscp", &c.Handling.DSCP, policy.DSCPWords())
	for _, name := range []string{"df", "ecn", "dscp"} {
		if s.has(name) && c.Mode == policy.Transport {
			s.fail(s.valueAt(name), "%s is about two headers, and transport mode has one: leave it out, or write mode = \"tunnel\"", name)
		}
	}
}

// offloadBackend is the SA backend of children that have an offload block and name no other.
const offloadBackend = "offload"

// offload reads what a network device does of a child's ESP.
func (s *section) offload(c *policy.Child) {
	b, o := s.only("offload"), &c.Handling.Offload
	if b == nil {
		if c.Backend == offloadBackend {
			o.Mode = policy.OffloadAuto
		}
		return
	}
	mode := policy.OffloadAuto.String()
	b.choice("mode", &mode, policy.OffloadWords()[policy.OffloadAuto:]...)
	for i, word := range policy.OffloadWords() {
		if word == mode {
			o.Mode = policy.OffloadMode(i)
		}
	}
	if t, ok := b.text("device"); ok {
		if o.Device = t.value; !isDevice(t.value) {
			b.fail(t.at, "%q is no name of a device: write one such as \"eth0\", or leave it out for the one that the packets leave by", t.value)
		}
	}
	b.boolean("require", &o.Required)
	b.finish()
	if c.Backend == "" {
		c.Backend = offloadBackend
	}
}

// mark reads a mark, "0x2a", with the bits that count, "0x2a/0xff".
func (s *section) mark(name string, value, mask *uint32) {
	t, ok := s.text(name)
	if !ok {
		return
	}
	v, m, masked := strings.Cut(t.value, "/")
	if !masked {
		m = "0xffffffff"
	}
	a, errValue := strconv.ParseUint(v, 0, 32)
	b, errMask := strconv.ParseUint(m, 0, 32)
	switch {
	case errValue != nil || errMask != nil || b == 0:
		s.fail(t.at, "%q is no mark: write a number of 32 bits, \"0x2a\", or one with the bits that count, \"0x2a/0xff\"", t.value)
	case a&^b != 0:
		s.fail(t.at, "in %q the mark has bits that the mask has not: write %#x/%#x, or another mask", t.value, a&b, b)
	default:
		*value, *mask = uint32(a), uint32(b)
	}
}

// netns reads where the interfaces of a connection's children lie.
func (s *section) netns(c *policy.Connection, children []*section) {
	t, ok := s.text("netns")
	if !ok {
		return
	}
	if t.value == "" || t.value == "." || t.value == ".." || strings.Contains(t.value, "/") {
		s.fail(t.at, "%q is no network namespace: write a name of `ip netns list`", t.value)
	}
	for i, child := range c.Children {
		if child.Handling.Netns = t.value; child.Handling.Interface == "" {
			children[i].fail(children[i].at, "netns needs an interface that lies there: add interface = \"ipsec0\" and if_id = 1 to the child, or leave netns out")
		}
	}
}

// maxDevice is IFNAMSIZ without the NUL.
const maxDevice = 15

func isDevice(name string) bool {
	return name != "" && len(name) <= maxDevice && name != "." && name != ".." && strings.Trim(name, deviceLetters) == ""
}

const deviceLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// shunts reads what passes in clear, and what does not pass (RFC 4301 section 4.4.1).
func (l *loader) shunts(tops []*section) {
	for _, word := range []string{"bypass", "discard"} {
		all := gather(tops, word, (*section).named)
		checkNames(all)
		for _, s := range all {
			x := &policy.Shunt{Name: s.label, Discard: word == "discard"}
			x.LocalTS, _ = s.selectors("local_ts")
			x.RemoteTS, _ = s.selectors("remote_ts")
			if len(x.LocalTS) == 0 || len(x.RemoteTS) == 0 {
				s.fail(s.at, "it does not say which traffic: add local_ts = [\"10.1.0.0/16\"] and remote_ts = [\"10.1.0.0/16\"], of addresses")
			} else {
				checkFamilies(s, "local_ts", x.LocalTS, "remote_ts", x.RemoteTS)
				checkFamilies(s, "remote_ts", x.RemoteTS, "local_ts", x.LocalTS)
			}
			s.finish()
			l.snapshot.Policy.Shunts = append(l.snapshot.Policy.Shunts, x)
		}
	}
}
