package engine

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// IKEv2 is the Protocol of package ikev2 under one policy.
type IKEv2 struct {
	configured
	env *ikev2.Env
}

var _ Protocol = (*IKEv2)(nil)

// NewIKEv2 returns the protocol with what all SAs share. Connections of IKEv1 alone are none of its.
func NewIKEv2(env *ikev2.Env) *IKEv2 {
	env = &ikev2.Env{Policy: env.Policy.Speaking(majorVersion), Limits: env.Limits, ExportKeys: env.ExportKeys}
	return &IKEv2{configured: configure(majorVersion, env.Policy, packedEnv{env.Limits, env.Policy.Connections, env.Policy.Anchors}), env: env}
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

// NewInitiator implements Protocol.
func (p *IKEv2) NewInitiator(b Birth, conn string) (machine.Machine, error) {
	c, err := p.known(conn)
	if err != nil {
		return nil, err
	}
	return ikev2.NewInitiator(p.env, b.SPI, b.Seed, c, b.Local, b.Remote), nil
}

// NewResponder implements Protocol.
func (p *IKEv2) NewResponder(b Birth) machine.Machine {
	return ikev2.NewResponder(p.env, b.SPI, b.Seed, b.Local, b.Remote)
}

// packedEnv is the form of an Env in a journal.
type packedEnv struct {
	Limits      ikev2.Limits
	Connections []*policy.Connection
	Anchors     []policy.Anchor
}

// RebuildIKEv2 returns the machine that a journal was written for, for Replay.
func RebuildIKEv2(h journal.Header) (machine.Machine, error) {
	var packed packedEnv
	if err := gob.NewDecoder(bytes.NewReader(h.Config)).Decode(&packed); err != nil {
		return nil, fmt.Errorf("engine: the journal's configuration is unreadable: %w", err)
	}
	if h.Version != majorVersion {
		return nil, fmt.Errorf("engine: the journal is of an SA of IKE version %d, which cannot be replayed", h.Version)
	}
	return rebuild(NewIKEv2(&ikev2.Env{Policy: &policy.Snapshot{Connections: packed.Connections, Anchors: packed.Anchors}, Limits: packed.Limits}), h)
}
