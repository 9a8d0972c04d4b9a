package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// ShardConfig says what a shard works with.
type ShardConfig struct {
	Index, Count int       // the shard owns the local SPIs that are Index modulo Count
	Rand         io.Reader // for SPIs and seeds
	Protocol     Protocol
	IKEv1        Protocol1 // nil: its messages are dropped
	Sender       Sender
	Caller       Caller
	Publisher    Publisher
	Gate         *Gate
	Counters     *Counters
	Journal      *journal.Recorder // nil: nothing is recorded
	// Elsewhere has the shard of another SPI do something. It may be nil when there is only one.
	Elsewhere func(o machine.Owner, give func(s *Shard, now time.Time))
	Roster    *Roster // nil: one of its own
	// Export takes the keys of IKE SAs, and never waits. nil: they are wiped.
	Export func(machine.Keys)
	// Reach finds out, without waiting, from where to reach a gateway on behalf of a connection, and has the shard of an SPI
	// go on with it, or not when there is no way. nil: from where the last one was reached, and only by address.
	Reach func(o machine.Owner, conn string, to machine.Gateway, then func(s *Shard, now time.Time, local, remote netip.AddrPort))
}

// Shard owns a part of the SAs and drives them. It is not safe for concurrent use, reads no clock and starts nothing:
// given the same calls it does the same. Flush ends a loop; without it nothing leaves.
type Shard struct {
	c     ShardConfig
	sas   map[machine.Owner]*sa
	inits map[initKey]*sa
	// children says whose a child SA is: an SA's own calls to the backend tell.
	children map[childKey]machine.Owner
	timers   timers
	fx       machine.Effects
	calls    []machine.Request
	later    []later
	closed   bool // no new SAs
}

// NewShard returns a shard without SAs. A Count of 0 means 1.
func NewShard(c ShardConfig) *Shard {
	c.Count = max(c.Count, 1)
	if c.Roster == nil {
		c.Roster = NewRoster()
	}
	return &Shard{c: c, sas: map[machine.Owner]*sa{}, inits: map[initKey]*sa{}, children: map[childKey]machine.Owner{}}
}

// SetProtocol puts another configuration in force, for SAs to come.
func (s *Shard) SetProtocol(p Protocol) { s.c.Protocol = p }

// SetIKEv1 is SetProtocol for IKEv1; nil turns it off.
func (s *Shard) SetIKEv1(p Protocol1) { s.c.IKEv1 = p }

func (s *Shard) versions() versions { return versions{s.c.Protocol, s.c.IKEv1} }

// Refuse keeps peers and operators from making new SAs.
func (s *Shard) Refuse() { s.closed = true }

// Len returns the number of SAs.
func (s *Shard) Len() int { return len(s.sas) }

// Return gives an answer to the SA that asked. Answers to SAs that have ended are dropped.
func (s *Shard) Return(now time.Time, r machine.Return) {
	e := s.sas[r.Owner]
	if e == nil {
		s.c.Counters.DroppedReplies.Add(1)
		machine.Wipe(r.Reply.Result)
		return
	}
	s.c.Counters.Replies.Add(1)
	s.step(now, e, r.Reply)
}

// Deadline is when Tick and Flush must be called again, the zero time for never. It may be early.
func (s *Shard) Deadline() time.Time {
	at, ok := s.timers.next()
	if due := s.c.Gate.due(); !due.IsZero() && (!ok || due.Before(at)) {
		return due
	}
	return at
}

// Tick steps every SA whose deadline has come.
func (s *Shard) Tick(now time.Time) {
	for e := s.timers.expired(now); e != nil; e = s.timers.expired(now) {
		s.step(now, e, machine.Tick{})
	}
}

// Flush ends a loop: it lets SAs settle with each other, hands over the calls and datagrams, and tells what the gate has to
// say.
func (s *Shard) Flush(now time.Time) {
	s.settleLater(now)
	s.submit()
	s.c.Sender.Flush()
	for _, e := range s.c.Gate.tell(now) {
		s.c.Publisher.Publish(event.Record{Time: now, Event: e})
	}
}

func (s *Shard) submit() {
	if len(s.calls) == 0 {
		return
	}
	s.c.Counters.Calls.Add(uint64(len(s.calls)))
	s.c.Caller.Submit(s.calls)
	clear(s.calls) // ops hold secrets
	s.calls = s.calls[:0]
}

// ErrStopping says that no new SA is made because the engine is stopping.
var ErrStopping = errors.New("engine: the daemon is stopping; no new IKE SA is made")

// Initiate makes an SA and starts negotiating. remote and local are where its messages go to and come from.
func (s *Shard) Initiate(now time.Time, conn string, children []string, local, remote netip.AddrPort) (event.UID, error) {
	if s.closed {
		return event.UID{}, ErrStopping
	}
	major, v := s.versions().of(conn)
	e, err := s.initiator(now, major, v, conn, local, remote)
	if err != nil {
		return event.UID{}, err
	}
	s.step(now, e, machine.Initiate{Children: children})
	return e.uid, nil
}

// initiator makes an SA that has not begun.
func (s *Shard) initiator(now time.Time, major uint8, v Version, conn string, local, remote netip.AddrPort) (*sa, error) {
	b, err := s.birth(local, remote)
	if err != nil {
		return nil, err
	}
	m, err := v.NewInitiator(b, conn)
	if err != nil {
		return nil, fmt.Errorf("engine: cannot initiate %q: %w", conn, err)
	}
	return s.add(&sa{owner: machine.Owner(b.SPI), major: major, machine: m, conn: conn, track: s.record(v, b, conn, now),
		dial: [2]netip.AddrPort{local, remote}}), nil
}

// birth draws a local SPI that is this shard's and not in use (RFC 7296 section 2.6), and a seed.
func (s *Shard) birth(local, remote netip.AddrPort) (Birth, error) {
	b := Birth{Local: local, Remote: remote}
	var spi [8]byte
	for b.SPI == 0 || s.sas[machine.Owner(b.SPI)] != nil || b.SPI%uint64(s.c.Count) != uint64(s.c.Index) {
		if _, err := io.ReadFull(s.c.Rand, spi[:]); err != nil {
			return b, fmt.Errorf("engine: no randomness: %w", err)
		}
		b.SPI = binary.BigEndian.Uint64(spi[:])
	}
	if _, err := io.ReadFull(s.c.Rand, b.Seed[:]); err != nil {
		return b, fmt.Errorf("engine: no randomness: %w", err)
	}
	return b, nil
}

// record begins the journal of a new SA, if one is wanted.
func (s *Shard) record(v Version, b Birth, conn string, now time.Time) *journal.Track {
	if s.c.Journal == nil {
		return nil
	}
	h, err := v.Header(b, conn)
	if err != nil {
		s.c.Journal.Refuse(b.SPI, err)
		return nil
	}
	h.Created = now
	return s.c.Journal.Begin(h)
}

func (s *Shard) add(e *sa) *sa {
	s.sas[e.owner] = e
	s.c.Counters.SAs.Add(1)
	return e
}

// remove forgets an SA.
func (s *Shard) remove(e *sa) {
	s.summon(s.c.Roster.leave(e.owner))
	s.settle(e)
	s.timers.remove(e)
	delete(s.sas, e.owner)
	if s.inits[e.init] == e {
		delete(s.inits, e.init)
	}
	e.track.End()
	s.c.Counters.SAs.Add(-1)
}
