// Package mirror copies every event of the bus to NATS, so that a SIEM can subscribe.
//
// # Form
//
// An event outside is a CloudEvent 1.0 in structured JSON, see Render and schema/event.v1.json (Schema). Its id
// "<node>/<boot>/<sequence>" is deterministic and doubles as Nats-Msg-Id. The members of data that all events share
// (code, severity, outcome, node, conn, sa_sequence) and the event's own JSON members stand side by side; a test proves that
// no two have one name. Text is escaped, and cut at MaxText bytes; lists are cut at MaxList elements; an event that is still
// too large is sent without its own members and with "truncated": true.
//
// # Path
//
//	bus ─ring─▶ writer: render, one write and fsync per batch ─▶ outbox on disk ─▶ publisher ─▶ stream
//
// It promises:
//
//   - The bus never waits. The writer reads a ring of RingSize records; everything that can be slow (disk, NATS) happens
//     behind it, and no lock is shared with it.
//   - What is in the outbox reaches the stream once and in order, over crashes of this process, restarts of NATS and power
//     cuts (see Limits). Each message names its predecessor (Nats-Expected-Last-Msg-Id), so the server refuses holes and repetitions, and
//     one acknowledgement vouches for all messages before it. A new session starts after the last id that the stream
//     holds. An acknowledgement is not an fsync at the server, therefore segments stay on disk for a while after it
//     (30 s embedded, whose store is synced every 10 s; 5 min external, for the default sync_interval of 2 min). With
//     SyncAlways instead an event cost nine times the CPU.
//   - What is lost before the outbox is told of in the stream itself as audit.stream_gap: when the outbox has no room or its
//     disk is full, the ring drops its oldest records and puts the gap in their place.
//   - NATS out of reach gives one audit.mirror_down, its return one audit.mirror_up.
//
// # Limits
//
// Events of the last commit interval (CommitInterval) before a crash of the process are lost with its memory. A stream has one writer:
// one stream per node. When the last message of the stream cannot be found in the outbox (the stream was replaced or emptied), all
// that the outbox still holds is sent. An outbox without room for unsent events gives up young acknowledged segments; if the power then
// fails within the sync interval of the server, those are lost, and a gap tells of them when it can be seen.
//
// # Cost
//
// BenchmarkMirror measures 13 to 20 µs of CPU for an event from Publish to the embedded store, on a shared machine with two
// cores; rendering is 1.3 to 2 µs of it, the rest of this package about 3, the server the remainder. None of it is in Publish, which
// pays for one more push to a ring.
package mirror
