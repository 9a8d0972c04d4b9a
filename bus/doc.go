// Package bus carries facts from the core to whoever wants them: the NATS mirror, metrics, the command line, the
// explainer. It promises:
//
//   - Publish never waits and never fails. A slow subscriber loses events by its own overflow policy; nobody else
//     notices.
//   - Every record gets a sequence number of the node, from 1 without holes, and every subscriber sees records in that
//     order.
//   - A subscriber that lost records sees an event.StreamGap in their place, with the first and last number lost.
//
// A subscriber must not act on the protocol by itself: it sends a command to the engine. Requests do not travel here.
package bus
