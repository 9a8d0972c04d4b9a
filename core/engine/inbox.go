package engine

import (
	"sync"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

const (
	// maxDatagrams bounds the datagrams that wait for a shard, of either kind: about a second of handshakes. Who waits
	// longer repeats the message, and then both copies would be work.
	maxDatagrams = 4096
	// maxDatagramOctets bounds their memory, because a datagram may have 64 kB.
	maxDatagramOctets = 8 << 20
	// maxCommands bounds the commands that wait: more than people and a whole configuration's auto-start give at once.
	maxCommands = 8192
	// loopDatagrams bounds the datagrams of either kind in one loop, so that replies and deadlines are served in between: at
	// 100 µs a step it takes some milliseconds.
	loopDatagrams = 64
)

// command is something that a shard does between steps.
type command func(s *Shard, now time.Time)

// inbox is what waits for a shard. Anyone may put; the shard takes.
type inbox struct {
	wake chan struct{} // holds one token when there may be something

	mu       sync.Mutex
	replies  []machine.Return // unbounded here: one for each call
	commands []command
	known    queue // datagrams with an SPI of ours
	first    queue // first messages: a flood of them neither crowds out the others nor makes them wait
}

// queue holds datagrams in order.
type queue struct {
	list   []machine.Datagram
	head   int // those before it are taken
	octets int
}

func (q *queue) len() int { return len(q.list) - q.head }

// put reports whether there was room.
func (q *queue) put(d machine.Datagram) bool {
	if q.len() >= maxDatagrams || q.octets+len(d.Bytes) > maxDatagramOctets {
		return false
	}
	if q.head >= maxDatagrams {
		q.list, q.head = append(q.list[:0], q.list[q.head:]...), 0
	}
	q.list = append(q.list, d)
	q.octets += len(d.Bytes)
	return true
}

// take moves as many as a loop serves to the end of to.
func (q *queue) take(to []machine.Datagram) []machine.Datagram {
	taken := q.list[q.head:min(q.head+loopDatagrams, len(q.list))]
	to = append(to, taken...)
	for _, d := range taken {
		q.octets -= len(d.Bytes)
	}
	clear(taken)
	if q.head += len(taken); q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return to
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) putReply(r machine.Return) {
	b.mu.Lock()
	b.replies = append(b.replies, r)
	b.mu.Unlock()
	b.signal()
}

// putDatagram reports whether there was room.
func (b *inbox) putDatagram(d machine.Datagram, first bool) bool {
	b.mu.Lock()
	q := &b.known
	if first {
		q = &b.first
	}
	room := q.put(d)
	b.mu.Unlock()
	if room {
		b.signal()
	}
	return room
}

// putCommand reports whether there was room. A command that follows from what the engine itself did must never be lost;
// it is forced in.
func (b *inbox) putCommand(c command, force bool) bool {
	b.mu.Lock()
	room := force || len(b.commands) < maxCommands
	if room {
		b.commands = append(b.commands, c)
	}
	b.mu.Unlock()
	if room {
		b.signal()
	}
	return room
}

// work is what a shard takes for one loop. Its memory goes back and forth between the shard and the inbox.
type work struct {
	replies   []machine.Return
	commands  []command
	datagrams []machine.Datagram
}

func (w *work) reset() {
	clear(w.replies)
	clear(w.commands)
	clear(w.datagrams)
	w.replies, w.commands, w.datagrams = w.replies[:0], w.commands[:0], w.datagrams[:0]
}

func (w *work) empty() bool { return len(w.replies)+len(w.commands)+len(w.datagrams) == 0 }

// take moves everything but a surplus of datagrams into w, which is empty; those of SAs come first.
func (b *inbox) take(w *work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.replies, b.replies = b.replies, w.replies
	w.commands, b.commands = b.commands, w.commands
	w.datagrams = b.first.take(b.known.take(w.datagrams))
}
