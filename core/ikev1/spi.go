package ikev1

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/core/machine"
)

// reservation is an inbound ESP SPI that an SA backend gave us and that no child has yet.
type reservation struct {
	backend       string
	local, remote netip.Addr
	spi           uint32
}

// reserve gets an inbound SPI of a backend. It is ours until a child takes it or it is given back; closing gives it back.
func (s *SA) reserve(backend string, then func(uint32, *machine.CallError)) {
	at := reservation{backend: backend, local: s.local.Addr(), remote: s.remote.Addr()}
	ask(s, machine.AllocateSPI{Backend: backend, Local: at.local, Remote: at.remote}, 0, func(r machine.AllocatedSPI, err *machine.CallError) {
		if err == nil && r.SPI < minSPI {
			err = &machine.CallError{Kind: machine.Internal, Text: fmt.Sprintf("it gave the reserved SPI %d", r.SPI)}
		}
		if err == nil {
			at.spi = r.SPI
			s.reserved = append(s.reserved, at)
		}
		then(r.SPI, err)
	})
}

// take hands a reserved SPI over to a child, whose removal frees it.
func (s *SA) take(spi uint32) (r reservation, ok bool) {
	i := slices.IndexFunc(s.reserved, func(r reservation) bool { return r.spi == spi })
	if i < 0 {
		return r, false
	}
	r = s.reserved[i]
	if s.reserved = slices.Delete(s.reserved, i, i+1); len(s.reserved) == 0 {
		s.reserved = nil
	}
	return r, true
}

// free gives a reserved SPI back to its backend. A backend that cannot take it back forgets it by itself.
func (s *SA) free(spi uint32) {
	r, ok := s.take(spi)
	if !ok {
		return
	}
	op := machine.FreeSPI{Backend: r.backend, Local: r.local, Remote: r.remote, SPI: r.spi}
	ask(s, op, uint64(r.spi), func(machine.Freed, *machine.CallError) { s.settle() })
}

// freeAll gives back what no child has, also what a backend is just about to give us.
func (s *SA) freeAll() {
	for len(s.reserved) > 0 {
		s.free(s.reserved[0].spi)
	}
}

// giveUpAllocation stops waiting for an allocation, which may be asked for again, but not for what it brings.
func (s *SA) giveUpAllocation(c *call) {
	late := *c
	late.at = s.now.Add(s.limits.RemovalWait)
	c.ticket = 0
	s.freeLate(&late)
	s.calls = append(s.calls, &late)
}

// freeLate turns an allocation that nobody waits for any more into one that is given back when it comes. It is not asked
// again.
func (s *SA) freeLate(c *call) {
	op := c.op.(machine.AllocateSPI)
	c.late, c.until = true, s.now
	c.then = func(r machine.Result, err *machine.CallError) {
		if got, ok := r.(machine.AllocatedSPI); ok && err == nil && got.SPI >= minSPI {
			s.reserved = append(s.reserved, reservation{op.Backend, op.Local, op.Remote, got.SPI})
			s.free(got.SPI)
		}
		s.settle()
	}
}

func spiBytes(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

func validSPI(spi []byte) bool {
	return len(spi) == espSPISize && binary.BigEndian.Uint32(spi) >= minSPI
}
