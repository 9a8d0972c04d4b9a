package config

import (
	"reflect"

	"github.com/parley-ike/parley/core/policy"
)

// Changes is what a reload has to do. Connections are named.
type Changes struct {
	Added, Removed, Changed, Same []string
	// What else is different. A change of these takes more than new connections: see each part's owner.
	Daemon, Credentials, Plugins, NATS bool
}

// Empty reports whether there is nothing to do.
func (c Changes) Empty() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 && !c.Daemon && !c.Credentials && !c.Plugins && !c.NATS
}

// Diff compares two snapshots by meaning: comments, order inside a block and explicit defaults do not count. Names are in the
// order of the new configuration, removed ones in that of the old. A nil old one is empty.
func Diff(old, new *Snapshot) Changes {
	if old == nil {
		old = &Snapshot{Policy: &policy.Snapshot{}}
	}
	c := Changes{
		Daemon:      !reflect.DeepEqual(old.Daemon, new.Daemon),
		Credentials: !reflect.DeepEqual(old.Credentials, new.Credentials),
		Plugins:     !reflect.DeepEqual(old.Plugins, new.Plugins),
		NATS:        old.NATS != new.NATS,
	}
	for _, conn := range new.Policy.Connections {
		before, ok := old.Policy.Connection(conn.Name)
		switch {
		case !ok:
			c.Added = append(c.Added, conn.Name)
		case reflect.DeepEqual(before, conn):
			c.Same = append(c.Same, conn.Name)
		default:
			c.Changed = append(c.Changed, conn.Name)
		}
	}
	for _, conn := range old.Policy.Connections {
		if _, ok := new.Policy.Connection(conn.Name); !ok {
			c.Removed = append(c.Removed, conn.Name)
		}
	}
	return c
}
