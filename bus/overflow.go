package bus

import "github.com/parley-ike/parley/bus/event"

// Overflow decides what a subscription does when its reader is slow. There is no policy that waits.
type Overflow func(name string) queue

// queue holds the records of one subscription.
type queue interface {
	push(event.Record)
	pop() event.Record // len() > 0
	len() int
	lost() uint64
}

// DropOldest keeps the newest n records; those lost are told of by one event.StreamGap in their place.
func DropOldest(n int) Overflow {
	return func(name string) queue { return &ring{name: name, limit: max(n, 1)} }
}

// Collect keeps everything; for tests.
func Collect() Overflow {
	return func(name string) queue { return &ring{name: name, limit: int(^uint(0) >> 1)} }
}

// Latest keeps only the newest record of each key, for at most n keys: a newer one takes the place of the older in the
// queue. When the keys are exhausted the oldest record is dropped.
func Latest(n int, key func(event.Record) string) Overflow {
	return func(string) queue { return &latest{limit: max(n, 1), key: key, values: map[string]event.Record{}} }
}

// ring is a bounded FIFO that reports its losses in order. It grows as needed up to limit.
type ring struct {
	name    string
	limit   int
	records []event.Record
	head    int
	count   int
	gap     event.StreamGap
	gapTime event.Record // the newest lost record, for time and number
	dropped uint64
}

func (q *ring) push(r event.Record) {
	if q.count == q.limit {
		q.drop()
	}
	if q.count == len(q.records) {
		q.grow()
	}
	q.records[(q.head+q.count)%len(q.records)] = r
	q.count++
}

func (q *ring) pop() event.Record {
	if q.gap.Count > 0 {
		return q.takeGap()
	}
	return q.shift()
}

func (q *ring) len() int {
	if q.gap.Count > 0 {
		return q.count + 1
	}
	return q.count
}

func (q *ring) lost() uint64 { return q.dropped }

func (q *ring) shift() event.Record {
	r := q.records[q.head]
	q.records[q.head] = event.Record{}
	q.head = (q.head + 1) % len(q.records)
	q.count--
	return r
}

// drop loses the oldest record and widens the gap, which always stands before what is left.
func (q *ring) drop() {
	r := q.shift()
	if q.gap.Count == 0 {
		q.gap.First = r.Sequence
	}
	q.gap.Last = r.Sequence
	q.gap.Count++
	q.dropped++
	q.gapTime = r
}

func (q *ring) takeGap() event.Record {
	gap := q.gap
	gap.Subscriber = q.name
	q.gap = event.StreamGap{}
	return event.Record{Sequence: q.gapTime.Sequence, Time: q.gapTime.Time, Event: gap}
}

func (q *ring) grow() {
	bigger := make([]event.Record, min(max(2*len(q.records), 16), q.limit))
	for i := range q.count {
		bigger[i] = q.records[(q.head+i)%len(q.records)]
	}
	q.records, q.head = bigger, 0
}

// latest is a queue of keys with one record each.
type latest struct {
	limit   int
	key     func(event.Record) string
	order   []string
	values  map[string]event.Record
	dropped uint64
}

func (q *latest) push(r event.Record) {
	k := q.key(r)
	if _, ok := q.values[k]; !ok {
		if len(q.order) == q.limit {
			q.pop()
			q.dropped++
		}
		q.order = append(q.order, k)
	}
	q.values[k] = r
}

func (q *latest) pop() event.Record {
	k := q.order[0]
	q.order = q.order[1:]
	r := q.values[k]
	delete(q.values, k)
	return r
}

func (q *latest) len() int     { return len(q.order) }
func (q *latest) lost() uint64 { return q.dropped }
