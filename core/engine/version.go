package engine

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"sync"

	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// Version is what the engine needs to know of one major version of IKE under one configuration. It is immutable; a new
// configuration is a new value.
type Version interface {
	// Endpoints returns where a connection is, an error when there is none of that name for this version.
	Endpoints(conn string) (Endpoints, error)
	// NewInitiator returns a machine that waits for the command Initiate. The connection exists.
	NewInitiator(b Birth, conn string) (machine.Machine, error)
	// NewResponder returns a machine that waits for its first Datagram.
	NewResponder(b Birth) machine.Machine
	// Header describes a machine, so that it can be rebuilt from a journal; conn is "" for a responder.
	Header(b Birth, conn string) (journal.Header, error)
}

// versions are what an engine speaks: IKEv2, and IKEv1 unless it is nil.
type versions struct {
	two Protocol
	one Protocol1
}

// of returns the version with which to begin a connection: IKEv2 where it may be.
func (v versions) of(conn string) (uint8, Version) {
	if v.one != nil {
		if _, err := v.two.Endpoints(conn); err != nil {
			return majorVersion1, v.one
		}
	}
	return majorVersion, v.two
}

// connection returns the connection of that name, nil when the configuration has none or is not ours.
func (v versions) connection(conn string) (c *policy.Connection) {
	_, version := v.of(conn)
	if p, ok := version.(interface {
		connection(string) *policy.Connection
	}); ok {
		return p.connection(conn)
	}
	return nil
}

// configured is what a protocol of ours knows of its configuration.
type configured struct {
	major  uint8
	policy *policy.Snapshot
	packed func() ([]byte, error) // for journals
}

// configure keeps a policy, of which only the connections of that version count. env is what a journal has of it.
func configure(major uint8, s *policy.Snapshot, env any) configured {
	return configured{major: major, policy: s, packed: sync.OnceValues(func() ([]byte, error) {
		var b bytes.Buffer
		err := gob.NewEncoder(&b).Encode(env)
		return b.Bytes(), err
	})}
}

func (p configured) connection(name string) *policy.Connection {
	c, _ := p.policy.Connection(name)
	return c
}

// known returns the connection of that name, or says that there is none.
func (p configured) known(name string) (*policy.Connection, error) {
	if c := p.connection(name); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no connection %q in the configuration", name)
}

// Endpoints implements Version.
func (p configured) Endpoints(conn string) (Endpoints, error) {
	c, err := p.known(conn)
	if err != nil {
		return Endpoints{}, err
	}
	return Endpoints{Local: c.Local.Addr, Remote: c.Remote.Addr, Host: c.Remote.Host}, nil
}

// Header implements Version.
func (p configured) Header(b Birth, conn string) (journal.Header, error) {
	config, err := p.packed()
	return journal.Header{Version: p.major, Initiator: conn != "", SPI: b.SPI, Seed: bytes.Clone(b.Seed[:]), Conn: conn,
		Config: config, Local: b.Local, Remote: b.Remote}, err
}

// rebuild makes the machine that a header describes.
func rebuild(p Version, h journal.Header) (machine.Machine, error) {
	if len(h.Seed) != len(Birth{}.Seed) {
		return nil, fmt.Errorf("engine: the journal has a seed of %d octets, which no SA begins from", len(h.Seed))
	}
	b := Birth{SPI: h.SPI, Seed: [32]byte(h.Seed), Local: h.Local, Remote: h.Remote}
	if h.Initiator {
		return p.NewInitiator(b, h.Conn)
	}
	return p.NewResponder(b), nil
}
