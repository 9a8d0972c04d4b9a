package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Where simulated network cards (netdevsim) are made, removed, joined and looked at. A kernel has one such place for all namespaces.
const (
	cardNew    = "/sys/bus/netdevsim/new_device"
	cardDelete = "/sys/bus/netdevsim/del_device"
	cardLink   = "/sys/bus/netdevsim/link_device"
	cardTable  = "/sys/kernel/debug/netdevsim/netdevsim%d/ports/0/ipsec"
)

// Card is a simulated network card that does ESP: it counts and forgets to encrypt, so that nobody understands what it sent.
type Card struct{ number int }

// NewCard makes a card with a number of its own in a namespace, and names its link.
func (ns *Namespace) NewCard(number int, link string) (*Card, error) {
	before, err := ns.Links.LinkList()
	if err != nil {
		return nil, err
	}
	if err := ns.Do(func() error { return os.WriteFile(cardNew, fmt.Appendf(nil, "%d 1", number), 0) }); err != nil {
		return nil, fmt.Errorf("lab: no simulated card: %w", err)
	}
	known := map[int]bool{}
	for _, l := range before {
		known[l.Attrs().Index] = true
	}
	after, err := ns.Links.LinkList()
	for _, l := range after {
		if !known[l.Attrs().Index] {
			err = errors.Join(ns.Links.LinkSetName(l, link), ns.Up(link))
		}
	}
	return &Card{number}, err
}

// Close removes the card.
func (c *Card) Close() { _ = os.WriteFile(cardDelete, fmt.Append(nil, c.number), 0) }

// Table is what the card shows of its SAs.
func (c *Card) Table() (string, error) {
	b, err := os.ReadFile(fmt.Sprintf(cardTable, c.number))
	return string(b), err
}

// JoinCards connects the links of two cards, which are in two namespaces.
func JoinCards(a, b *Namespace, link string) error {
	var ends []string
	for _, ns := range []*Namespace{a, b} {
		l, err := ns.Links.LinkByName(link)
		if err != nil {
			return err
		}
		ends = append(ends, fmt.Sprintf("%d:%d", int(ns.handle), l.Attrs().Index))
	}
	return os.WriteFile(cardLink, []byte(strings.Join(ends, " ")), 0)
}
