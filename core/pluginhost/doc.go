// Package pluginhost runs the plugins of a daemon and carries the calls of the protocol machines to them.
//
// # Promises
//
//   - What is executed is what was checked: a plugin file is copied into sealed memory while its SHA-256 is computed, and
//     that copy is executed, at the first start and at every restart. A file that changes later has no effect until the
//     daemon starts again.
//   - A plugin starts without the daemon's environment, with no capability that its catalogue entry does not name, with
//     no way to gain one, without core dumps, and dies with the daemon.
//   - Submit never waits. Every call gets at most one Return: exactly one, unless it was cancelled or its deadline passed.
//     A plugin's death answers all of its calls at once as unavailable; a full window answers at once as overloaded.
//   - What a plugin answers is checked before a machine sees it: a lie is an internal error of that call and never a panic.
//   - A dead plugin is started again, with backoff, within a budget; after that it is degraded and tried at long intervals.
//
// # Limits
//
// A copy of each distinct plugin file stays in memory. Between fork and exec of a plugin its core limit is the daemon's.
// Routes are sticky: the first plugin that provided a key exchange method keeps it, for it alone understands its states.
package pluginhost
