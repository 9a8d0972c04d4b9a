package ikev2

import (
	"reflect"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// This file is how an IKE SA goes on when its connection gets other children. The protocol has no word for it: what is not
// allowed any more is deleted (RFC 7296 section 1.4.1), and what is allowed otherwise is made anew (section 1.3.1).

const reconfigured = "the configuration changed"

// reconfigure notes another version of the connection.
func (s *SA) reconfigure(c machine.Reconfigure) {
	if conn, ok := c.Connection.(*policy.Connection); ok {
		s.next = conn
	}
}

// adoptNext goes over to the version of the connection that was noted, as soon as the SA is established.
func (s *SA) adoptNext() {
	if s.next == nil || s.state != Established {
		return
	}
	before, now := s.configured(), s.next
	s.configure(now)
	s.next = nil
	for _, was := range before.Children {
		switch is, stays := now.Child(was.Name); {
		case !stays:
			s.disallow(was.Name)
		case !reflect.DeepEqual(was, is) && s.disallow(was.Name):
			s.todo = append(s.todo, task{conf: is})
		}
	}
}

// configured returns the connection as it is configured: without addresses that were assigned.
func (s *SA) configured() *policy.Connection {
	if s.inner.conf != nil {
		return s.inner.conf
	}
	return s.conn
}

func (s *SA) configure(conn *policy.Connection) {
	s.conn = conn
	if s.inner.conf != nil {
		s.inner.conf = conn
		s.conn = conn.Assigned(s.inner.assigned, s.inner.given)
	}
}

// disallow deletes the children of a name, makes no more of them, and reports whether there were any.
func (s *SA) disallow(name string) (had bool) {
	had = s.makes(name)
	s.unwant(name, operatorFailure(reconfigured))
	for _, c := range s.children {
		if c.sa.Name == name && c.up {
			s.deleteChild(c, byConfig, reconfigured)
		}
	}
	return had
}
