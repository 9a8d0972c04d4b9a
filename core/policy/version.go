package policy

// AnyVersion as Connection.Version: we initiate IKEv2 and answer both versions.
const AnyVersion = 3

// Speaks reports whether the connection may come up by a major version of IKE, 1 or 2.
func (c *Connection) Speaks(version uint8) bool {
	return c.Version == AnyVersion && version == 1 || c.Initiates() == version
}

// Initiates returns the major version that we begin with, 1 or 2.
func (c *Connection) Initiates() uint8 {
	if c.Version == 1 {
		return 1
	}
	return 2
}

// Speaking returns the part of the policy that a major version of IKE works by: the connections that may come up by it. IKEv1 is off
// where there is none.
func (s *Snapshot) Speaking(version uint8) *Snapshot {
	part := *s
	part.Connections = nil
	for _, c := range s.Connections {
		if c.Speaks(version) {
			part.Connections = append(part.Connections, c)
		}
	}
	return &part
}
