package event

// PluginRef names a plugin process.
type PluginRef struct {
	Name    string   `json:"name"` // of the catalogue entry
	Kinds   []string `json:"kinds"`
	Version string   `json:"version,omitempty"`
	PID     int      `json:"pid,omitempty"`
}

// PluginStarted says: a plugin process passed its handshake and is in use.
type PluginStarted struct {
	Plugin PluginRef `json:"plugin"`
}

// PluginStopped says: a plugin process was ended in order.
type PluginStopped struct {
	Plugin PluginRef `json:"plugin"`
}

// PluginCrashed says: a plugin process ended by itself.
type PluginCrashed struct {
	Plugin   PluginRef `json:"plugin"`
	Reason   string    `json:"reason"`
	InFlight int       `json:"in_flight"` // calls that failed with it
}

// PluginRestarted says: a plugin is back after a crash.
type PluginRestarted struct {
	Plugin   PluginRef `json:"plugin"`
	Restarts int       `json:"restarts"`
	After    string    `json:"after"` // duration of the outage
}

// PluginUnhealthy says: a health canary failed or was late.
type PluginUnhealthy struct {
	Plugin PluginRef `json:"plugin"`
	Reason string    `json:"reason"`
}

// PluginDegraded says: a plugin used up its restart budget; it is tried again at long intervals.
type PluginDegraded struct {
	Plugin PluginRef `json:"plugin"`
	Reason string    `json:"reason"`
}

// PluginRejected says: a plugin was not started: wrong checksum, wrong version, unreadable, bad configuration.
type PluginRejected struct {
	Plugin PluginRef `json:"plugin"`
	Reason string    `json:"reason"`
	Remedy string    `json:"remedy"`
}

// BackendChosen says: the SA backend of this daemon, and why it and no other.
type BackendChosen struct {
	Backend string `json:"backend"`
	Reason  string `json:"reason"`
}

// PoliciesNotSet says: policies of the configuration that belong to no SA are not in force. What was to bypass protection or to be
// discarded is treated like other traffic, and nobody waits for traffic of children that begin with it.
type PoliciesNotSet struct {
	Backend  string   `json:"backend"`  // "" when there is none that can
	Policies []string `json:"policies"` // "bypass/NAME", "discard/NAME", "CONNECTION/CHILD"
	Reason   string   `json:"reason"`
}

// BackendReconciled says: the SAs in an SA backend were compared with those the daemon owns.
type BackendReconciled struct {
	Backend     string `json:"backend"`
	Kept        int    `json:"kept"`
	Reinstalled int    `json:"reinstalled"`
	Removed     int    `json:"removed"`
	Failed      int    `json:"failed"`
	Updated     int    `json:"updated"` // they had other addresses, or were held back
	// Left counts children of a daemon that was killed, which carry packets until new ones take their place.
	Left int `json:"left"`
}

// TrafficTrapped says: a packet met the trap of a child that is not up yet.
type TrafficTrapped struct {
	Backend string `json:"backend"`
	Child   string `json:"child"`
	Packet  string `json:"packet"` // "UDP from 10.1.0.1:40000 to 10.2.0.1:53"
}

// DaemonStarted says: the daemon began to run.
type DaemonStarted struct {
	Version string `json:"version"`
	Config  string `json:"config"` // SHA-256 of the configuration
}

// DaemonReady says: sockets are bound and plugins are up.
type DaemonReady struct {
	Listen []string `json:"listen"`
}

// KeysExported says: the daemon writes the keys of its IKE SAs into a file. Whoever reads it reads their messages.
type KeysExported struct {
	File string `json:"file"`
}

// DaemonStopping says: the daemon was told to stop.
type DaemonStopping struct {
	Reason string `json:"reason"`
}

// ConfigChanged says: another configuration is in force. Old and New are SHA-256 of the files.
type ConfigChanged struct {
	Source      string   `json:"source"`
	Old         string   `json:"old"`
	New         string   `json:"new"`
	Added       []string `json:"added,omitempty"`   // connections
	Changed     []string `json:"changed,omitempty"` // the SAs of these and of removed ones are deleted
	Removed     []string `json:"removed,omitempty"`
	Children    []string `json:"children,omitempty"` // connections that changed in their children only: their IKE SAs stay
	Pools       bool     `json:"pools,omitempty"`    // address pools differ
	Credentials bool     `json:"credentials"`        // the keys that the store offers are others
	Restart     []string `json:"restart,omitempty"`  // settings that wait for a restart of the daemon
}

// ConfigRejected says: a configuration was refused and nothing changed.
type ConfigRejected struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// ControlRequested says: somebody used the control API.
type ControlRequested struct {
	UID    uint32 `json:"uid"`
	PID    int32  `json:"pid"`
	Verb   string `json:"verb"`
	Target string `json:"target,omitempty"`
	Result string `json:"result"`
}

// StreamGap says: events were lost on the way to a subscriber.
type StreamGap struct {
	Subscriber string `json:"subscriber"`
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	Count      uint64 `json:"count"`
}

// MirrorDown says: NATS is not reachable; events wait in the outbox.
type MirrorDown struct {
	URL    string `json:"url"`
	Reason string `json:"reason"`
}

// MirrorUp says: NATS is reachable again.
type MirrorUp struct {
	URL string `json:"url"`
}
