// Package sim runs two engines in one small world on a virtual clock: a network that loses, repeats, reorders, cuts off and damages
// datagrams and translates addresses, nodes that roam, plugins that are late, silent, wrong or dead, daemons that are paused or
// killed, floods, and operators who change their minds. Everything random comes from the world's seed, so that a seed is a world: it
// runs the same each time, and every SA in it is replayed from its recorded inputs and compared. What the worlds have grows; each
// step is an edition, in which older seeds can still be run.
//
// A world has three parts: a storm with faults, a calm in which it must heal by itself, and an end after which nothing may
// be left behind. What must hold is in invariants.go.
package sim
