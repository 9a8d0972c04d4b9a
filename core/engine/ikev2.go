package engine

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"net/netip"
	"sync"

	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// IKEv2 is the Protocol of package ikev2 under one policy.
type IKEv2 struct {
	env    *ikev2.Env
	config func() ([]byte, error) // for journals
}

var _ Protocol = (*IKEv2)(nil)

// NewIKEv2 returns the protocol with what all SAs share.
func NewIKEv2(env *ikev2.Env) *IKEv2 {
	return &IKEv2{env: env, config: sync.OnceValues(func() ([]byte, error) { return packEnv(env) })}
}

// SetPolicy puts another policy in force for SAs to come. SAs that exist keep theirs.
func (e *Engine) SetPolicy(s *policy.Snapshot) {
	env := &ikev2.Env{Policy: s}
	if old, ok := (*e.protocol.Load()).(*IKEv2); ok {
		env.Limits = old.env.Limits
	}
	e.SetProtocol(NewIKEv2(env))
}

// Reconfigure has the IKE SAs of a connection go on with its present version, which differs in the children only, and returns how
// many there are. It goes on after it returns.
func (e *Engine) Reconfigure(ctx context.Context, conn string) (int, error) {
	p, ok := (*e.protocol.Load()).(*IKEv2)
	if !ok {
		return 0, nil
	}
	c, err := p.connection(conn)
	if err != nil {
		return 0, err
	}
	return e.command(ctx, Selector{Conn: conn}, machine.Reconfigure{Connection: c})
}

// Inspect implements Protocol.
func (p *IKEv2) Inspect(packet []byte) (First, error) {
	in, err := ikev2.InspectInit(packet)
	return First{SPI: in.InitiatorSPI, Nonce: in.Nonce, Cookie: in.Cookie}, err
}

func (f First) init() ikev2.Init {
	return ikev2.Init{InitiatorSPI: f.SPI, Nonce: f.Nonce, Cookie: f.Cookie}
}

// CookieReply implements Protocol.
func (p *IKEv2) CookieReply(key CookieKey, f First, remote netip.AddrPort) []byte {
	return ikev2.CookieReply(key.Secret, key.Version, f.init(), remote)
}

// VerifyCookie implements Protocol.
func (p *IKEv2) VerifyCookie(key CookieKey, f First, remote netip.AddrPort) bool {
	return ikev2.VerifyCookie(key.Secret, key.Version, f.init(), remote)
}

// InvalidMajorVersion implements Protocol.
func (p *IKEv2) InvalidMajorVersion(packet []byte) []byte {
	return ikev2.InvalidMajorVersionReply(packet)
}

// InvalidSPI implements Protocol.
func (p *IKEv2) InvalidSPI(packet []byte) []byte { return ikev2.InvalidSPIReply(packet) }

// Endpoints implements Protocol.
func (p *IKEv2) Endpoints(conn string) (Endpoints, error) {
	c, err := p.connection(conn)
	if err != nil {
		return Endpoints{}, err
	}
	return Endpoints{Local: c.Local.Addr, Remote: c.Remote.Addr, Host: c.Remote.Host}, nil
}

// connection returns the connection of that name.
func (p *IKEv2) connection(name string) (*policy.Connection, error) {
	c, ok := p.env.Policy.Connection(name)
	if !ok {
		return nil, fmt.Errorf("there is no connection %q in the configuration", name)
	}
	return c, nil
}

// NewInitiator implements Protocol.
func (p *IKEv2) NewInitiator(b Birth, conn string) (machine.Machine, error) {
	c, err := p.connection(conn)
	if err != nil {
		return nil, err
	}
	return ikev2.NewInitiator(p.env, b.SPI, b.Seed, c, b.Local, b.Remote), nil
}

// NewResponder implements Protocol.
func (p *IKEv2) NewResponder(b Birth) machine.Machine {
	return ikev2.NewResponder(p.env, b.SPI, b.Seed, b.Local, b.Remote)
}

// Header implements Protocol.
func (p *IKEv2) Header(b Birth, conn string) (journal.Header, error) {
	config, err := p.config()
	return journal.Header{Version: majorVersion, Initiator: conn != "", SPI: b.SPI, Seed: bytes.Clone(b.Seed[:]), Conn: conn,
		Config: config, Local: b.Local, Remote: b.Remote}, err
}

// packedEnv is the form of an Env in a journal.
type packedEnv struct {
	Limits      ikev2.Limits
	Connections []*policy.Connection
	Anchors     []policy.Anchor
}

func packEnv(env *ikev2.Env) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(packedEnv{env.Limits, env.Policy.Connections, env.Policy.Anchors})
	return b.Bytes(), err
}

// RebuildIKEv2 returns the machine that a journal was written for, for Replay.
func RebuildIKEv2(h journal.Header) (machine.Machine, error) {
	var packed packedEnv
	if err := gob.NewDecoder(bytes.NewReader(h.Config)).Decode(&packed); err != nil {
		return nil, fmt.Errorf("engine: the journal's configuration is unreadable: %w", err)
	}
	if h.Version != majorVersion || len(h.Seed) != len(Birth{}.Seed) {
		return nil, fmt.Errorf("engine: the journal is of an SA of IKE version %d, which cannot be replayed", h.Version)
	}
	p := NewIKEv2(&ikev2.Env{Policy: &policy.Snapshot{Connections: packed.Connections, Anchors: packed.Anchors}, Limits: packed.Limits})
	b := Birth{SPI: h.SPI, Seed: [32]byte(h.Seed), Local: h.Local, Remote: h.Remote}
	if h.Initiator {
		return p.NewInitiator(b, h.Conn)
	}
	return p.NewResponder(b), nil
}
