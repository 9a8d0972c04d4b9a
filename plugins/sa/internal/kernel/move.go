package kernel

import (
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// update brings an installed child to a new description.
func (b *Backend) update(c *sa.Child) error {
	if err := b.prepare(c); err != nil {
		return err
	}
	if old := b.journal.entries[c.UID]; old != nil && !old.sameSAs(newEntry(*c)) {
		return fmt.Errorf("an update changes neither SPIs nor selectors nor transforms nor keys: %w", sdk.ErrInvalid)
	}
	return b.install(c)
}

// move takes a child's SAs to other addresses, ports or limits, and an outbound SA that is no longer held back into use.
func (b *Backend) move(old, e *entry, c *sa.Child) error {
	e.ReqID, e.Born, e.Live, e.Was = old.ReqID, old.Born, old.Live, append(old.Was, old.Child)
	if err := b.journal.put(e); err != nil {
		return err
	}
	from, to := old.kernel(), *c
	to.ReqID = e.ReqID
	if err := b.driver.MoveSA(from, &to, false, e.traffic[0]); err != nil {
		return fmt.Errorf("inbound SA: %w", b.driver.Meaning(err))
	}
	if err := b.lead(e.traffic, DirIn, DirFwd); err != nil {
		return err
	}
	if !to.Held {
		if err := b.driver.MoveSA(from, &to, true, e.traffic[0]); err != nil {
			return fmt.Errorf("outbound SA: %w", b.driver.Meaning(err))
		}
	}
	if err := b.lead(e.traffic, DirOut); err != nil {
		return err
	}
	if err := b.arrange(e); err != nil { // another way, perhaps other addresses
		return err
	}
	return b.leave(e)
}

// leave deletes the SAs that moved children left behind.
func (b *Backend) leave(e *entry) error {
	for _, was := range e.places()[1:] {
		for _, h := range []Half{Outbound(&was), Inbound(&was)} {
			if h.At() == Outbound(&e.Child).At() || h.At() == Inbound(&e.Child).At() {
				continue
			}
			if err := b.driver.DropSA(&was, h); err != nil {
				return fmt.Errorf("SA %08x: %w", h.SPI, b.driver.Meaning(err))
			}
		}
	}
	e.Was = nil
	return b.live(e)
}
