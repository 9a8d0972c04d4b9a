// Package engine drives the protocol machines: it finds the SA of a datagram, admits first messages, keeps deadlines and
// performs effects.
//
// Two layers. Shard is all of that without a goroutine, a clock or a source of randomness of its own: methods take now,
// and given the same calls it does the same, so that a simulation drives it directly. Engine is a number of shards, each
// with a goroutine, an inbox and the wall clock. An SA belongs to one shard for its life, chosen by its local SPI, so
// that there is no lock around an SA.
//
// A loop of a shard takes what has arrived: replies first, because each ends a wait; then due ticks, then commands, then a
// bounded number of datagrams. Every input is one step, whose effects are performed in order. Datagrams and plugin calls
// leave in batches at the end of the loop.
//
// Promises.
//   - Nothing here waits for a plugin, a subscriber or the network.
//   - Replies are never dropped: there is at most one per call, so that their number is bounded by the calls that the
//     plugin host lets pass. Datagrams are bounded in number and octets, and what is too much is counted and dropped;
//     commands are bounded and fail with ErrBusy.
//   - Events of an SA carry numbers from 1 without holes, and reach the bus in that order.
//   - A first message costs no state and no plugin call while cookies are demanded (RFC 7296 section 2.6), and the number
//     of half-open SAs is bounded always. Events about unauthenticated datagrams are summed up per source and second.
//   - IKEv1 has no such cookies: its half-open SAs and first messages are bounded apart, for known peers' addresses only, and take
//     nothing from IKEv2. While no connection has it, its messages are dropped.
//   - Stop deletes the SAs in order and ends in bounded time; afterwards no goroutine is left.
//
// The clock starts at the wall clock's time and then counts by the monotonic one: a machine never sees time jump, and a
// journal, which knows no monotonic time, replays exactly. Events are stamped with the wall clock as it is.
//
// Limits. The clock stands still while the machine is suspended. Retry, auto-start and reconciliation are subscribers and not here.
package engine
