// Package demo shows a tunnel from beginning to end: two gateways in two network namespaces, each with its plugins as
// processes of their own and its own NATS; a child SA, packets through it, the events it made, and a plugin that is
// killed and comes back. Every statement that it prints is checked; a failed check ends it with an error.
package demo
