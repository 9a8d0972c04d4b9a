// Package daemon is the composition root: the only package that knows all others. It reads the configuration, opens the
// sockets, starts the plugins, chooses the SA backend, runs the engine and takes everything down again in order.
//
// What it adds of its own is glue, the standard set of plugins, the choice of the SA backend, and the keeper that brings up
// what should be up.
package daemon
