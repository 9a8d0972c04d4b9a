package ikev2

import (
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// A peer that has answered our CREATE_CHILD_SA request has the child, and may delete it at once. Its request can overtake the
// response on the way, or come while plugins are at work on the response: it names an SPI that we do not know yet. Such SPIs are
// remembered while an exchange of ours is out. A child that an SA backend has not confirmed yet is not known either: asked again, the
// backend would install it after its removal.

// maxEarly bounds what is remembered; more than a handful never meet one exchange.
const maxEarly = 64

// noteEarly remembers the SPIs of Delete payloads that no child has.
func (s *SA) noteEarly(ps []wire2.Payload) {
	if s.create == nil {
		return
	}
	for _, p := range ps {
		d, ok := p.(wire2.Delete)
		if !ok || d.Protocol != wire2.ProtoESP {
			continue
		}
		for _, b := range d.SPIs {
			spi := binary.BigEndian.Uint32(b)
			known := slices.ContainsFunc(s.children, func(c *child) bool { return c.sa.SPIOut == spi && !c.installing })
			if !known && len(s.early) < maxEarly {
				s.early = append(s.early, spi)
			}
		}
	}
}

// endEarly ends a child that the peer deleted before we had it.
func (s *SA) endEarly(c *child) {
	if slices.Contains(s.early, c.sa.SPIOut) {
		c.by, c.reason = byPeer, "the peer deleted the child SA"
		s.remove(c)
	}
}
