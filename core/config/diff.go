package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/parley-ike/parley/core/policy"
)

// Changes is what a reload has to do.
type Changes struct {
	Added, Removed, Same []string // connections
	Changed              []Change // connections that exist in both, and differ
	Credentials          bool
	Shunts               bool // what bypasses protection or is discarded
	Pools                bool // address pools; leases go on as far as the new ones have their addresses
	// Restart lists the settings that differ and only take effect when the daemon starts: "daemon listen", "nats", "plugin acme".
	Restart []string
}

// Change says how a connection differs: "remote identity", "child lan: remote_ts", "child dmz added". When it differs in its
// children only, IKE SAs stay, and of the child SAs those whose children are gone or differ end.
type Change struct {
	Connection   string
	What         []string
	ChildrenOnly bool
	Children     []string // that are gone or differ
}

// Empty reports whether there is nothing to do.
func (c Changes) Empty() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Restart) == 0 && !c.Credentials && !c.Pools && !c.Shunts
}

// Diff compares two snapshots by meaning: comments, order inside a block and explicit defaults do not count. Names are in the
// order of the new configuration, removed ones in that of the old. A nil old one is empty.
func Diff(old, new *Snapshot) Changes {
	if old == nil {
		old = &Snapshot{Policy: &policy.Snapshot{}}
	}
	c := Changes{Credentials: !reflect.DeepEqual(old.Credentials, new.Credentials) || !reflect.DeepEqual(old.Keys, new.Keys) ||
		!reflect.DeepEqual(old.Passwords, new.Passwords), Restart: onlyAtStart(old, new),
		Pools: !reflect.DeepEqual(old.Pools, new.Pools), Shunts: !reflect.DeepEqual(old.Policy.Shunts, new.Policy.Shunts)}
	for _, conn := range new.Policy.Connections {
		before, ok := old.Policy.Connection(conn.Name)
		switch {
		case !ok:
			c.Added = append(c.Added, conn.Name)
		case reflect.DeepEqual(before, conn):
			c.Same = append(c.Same, conn.Name)
		default:
			c.Changed = append(c.Changed, differences(before, conn))
		}
	}
	for _, conn := range old.Policy.Connections {
		if _, ok := new.Policy.Connection(conn.Name); !ok {
			c.Removed = append(c.Removed, conn.Name)
		}
	}
	return c
}

// onlyAtStart lists the changed settings that a running daemon cannot take.
func onlyAtStart(old, new *Snapshot) (all []string) {
	for _, f := range fields(reflect.ValueOf(old.Daemon), reflect.ValueOf(new.Daemon), "") {
		all = append(all, "daemon "+f)
	}
	if old.NATS != new.NATS {
		all = append(all, "nats")
	}
	named := func(p Plugin) func(Plugin) bool { return func(o Plugin) bool { return o.Name == p.Name } }
	for _, p := range new.Plugins {
		i := slices.IndexFunc(old.Plugins, named(p))
		if i < 0 || !reflect.DeepEqual(old.Plugins[i], p) {
			all = append(all, "plugin "+p.Name)
		}
	}
	for _, p := range old.Plugins {
		if !slices.ContainsFunc(new.Plugins, named(p)) {
			all = append(all, "plugin "+p.Name)
		}
	}
	return all
}

// differences says in the words of the configuration what two versions of a connection do not share.
func differences(old, new *policy.Connection) Change {
	was, is := *old, *new
	was.Children, is.Children = nil, nil
	c := Change{Connection: new.Name, What: fields(reflect.ValueOf(was), reflect.ValueOf(is), "")}
	c.ChildrenOnly = len(c.What) == 0
	for _, child := range new.Children {
		before, ok := old.Child(child.Name)
		if !ok {
			c.What = append(c.What, fmt.Sprintf("child %s added", child.Name))
			continue
		}
		differ := fields(reflect.ValueOf(*before), reflect.ValueOf(*child), "")
		for _, f := range differ {
			c.What = append(c.What, fmt.Sprintf("child %s: %s", child.Name, f))
		}
		if len(differ) > 0 {
			c.Children = append(c.Children, child.Name)
		}
	}
	for _, child := range old.Children {
		if _, ok := new.Child(child.Name); !ok {
			c.What = append(c.What, fmt.Sprintf("child %s removed", child.Name))
			c.Children = append(c.Children, child.Name)
		}
	}
	if len(c.What) == 0 {
		c.What = []string{"the order of the children"}
	}
	return c
}

// fields lists the fields of two structs of one type that differ, as settings are written: RemoteTS is remote_ts, and what lies
// in Remote is "remote identity".
func fields(old, new reflect.Value, prefix string) (all []string) {
	for i := range old.NumField() {
		was, is, name := old.Field(i), new.Field(i), prefix+setting(old.Type().Field(i).Name)
		switch {
		case reflect.DeepEqual(was.Interface(), is.Interface()):
		case was.Type() == reflect.TypeFor[policy.Endpoint]():
			all = append(all, fields(was, is, name+" ")...)
		case old.Type().Field(i).Anonymous:
			all = append(all, fields(was, is, prefix)...)
		default:
			all = append(all, name)
		}
	}
	return all
}

// setting turns a field's name into a setting's: a capital after a small letter, or before one, begins a word.
func setting(field string) string {
	if field == "Aggressive" {
		return "mode"
	}
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		begins := i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
