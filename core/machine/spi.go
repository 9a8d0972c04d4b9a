package machine

import (
	"fmt"
	"net/netip"
	"slices"
)

// MinSPI is the lowest ESP SPI; those below are reserved (RFC 4303 section 2.1, RFC 2407 section 4.4).
const MinSPI = 256

// reservation is an inbound ESP SPI that an SA backend gave an SA and that no child has yet.
type reservation struct {
	backend       string
	local, remote netip.Addr
	spi           uint32
}

// Reserve gets an inbound SPI of a backend, between two outer addresses. It is the SA's until a child takes it or it is given back.
func (cs *Calls) Reserve(backend string, local, remote netip.Addr, then func(uint32, *CallError)) {
	Ask(cs, AllocateSPI{Backend: backend, Local: local, Remote: remote}, 0, func(r AllocatedSPI, err *CallError) {
		if err == nil && r.SPI < MinSPI {
			err = &CallError{Kind: Internal, Text: fmt.Sprintf("it gave the reserved SPI %d", r.SPI)}
		}
		if err == nil {
			cs.reserved = append(cs.reserved, reservation{backend, local, remote, r.SPI})
		}
		then(r.SPI, err)
	})
}

// Reserved returns how many SPIs have no child.
func (cs *Calls) Reserved() int { return len(cs.reserved) }

// Take hands a reserved SPI over to a child, whose removal frees it.
func (cs *Calls) Take(spi uint32) { cs.take(spi) }

func (cs *Calls) take(spi uint32) (r reservation, ok bool) {
	i := slices.IndexFunc(cs.reserved, func(r reservation) bool { return r.spi == spi })
	if i < 0 {
		return r, false
	}
	r = cs.reserved[i]
	if cs.reserved = slices.Delete(cs.reserved, i, i+1); len(cs.reserved) == 0 {
		cs.reserved = nil
	}
	return r, true
}

// Free gives a reserved SPI back to its backend. A backend that cannot take it back forgets it by itself.
func (cs *Calls) Free(spi uint32) {
	r, ok := cs.take(spi)
	if !ok {
		return
	}
	op := FreeSPI{Backend: r.backend, Local: r.local, Remote: r.remote, SPI: r.spi}
	Ask(cs, op, uint64(r.spi), func(Freed, *CallError) { cs.caller.Settle() })
}

// FreeAll gives back what no child has.
func (cs *Calls) FreeAll() {
	for len(cs.reserved) > 0 {
		cs.Free(cs.reserved[0].spi)
	}
}

// giveUpAllocation stops waiting for an allocation, which may be asked for again, but not for what it brings.
func (cs *Calls) giveUpAllocation(c *call) {
	late := *c
	late.at = cs.caller.Now().Add(cs.caller.Removal())
	c.ticket = 0
	cs.freeLate(&late)
	cs.list = append(cs.list, &late)
}

// freeLate turns an allocation that nobody waits for any more into one that is given back when it comes. It is not asked
// again.
func (cs *Calls) freeLate(c *call) {
	op := c.op.(AllocateSPI)
	c.late, c.until = true, cs.caller.Now()
	c.then = func(r Result, err *CallError) {
		if got, ok := r.(AllocatedSPI); ok && err == nil && got.SPI >= MinSPI {
			cs.reserved = append(cs.reserved, reservation{op.Backend, op.Local, op.Remote, got.SPI})
			cs.Free(got.SPI)
		}
		cs.caller.Settle()
	}
}
