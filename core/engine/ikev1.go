package engine

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/core/ikev1"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// IKEv1 is the Protocol1 of package ikev1 under one policy.
type IKEv1 struct {
	configured
	env *ikev1.Env
}

var _ Protocol1 = (*IKEv1)(nil)

// NewIKEv1 returns the protocol with what all SAs share. Connections of IKEv2 alone are none of its.
func NewIKEv1(env *ikev1.Env) *IKEv1 {
	env = &ikev1.Env{Policy: env.Policy.Speaking(majorVersion1), Limits: env.Limits, ExportKeys: env.ExportKeys}
	return &IKEv1{configured: configure(majorVersion1, env.Policy, packedEnv1{env.Limits, env.Policy.Connections, env.Policy.Anchors}), env: env}
}

// Inspect implements Protocol1.
func (p *IKEv1) Inspect(packet []byte) error {
	_, err := ikev1.InspectFirst(packet)
	return err
}

// Expects implements Protocol1.
func (p *IKEv1) Expects(local, remote netip.Addr) bool {
	return len(p.policy.Candidates(local, remote)) > 0
}

// NewInitiator implements Version.
func (p *IKEv1) NewInitiator(b Birth, conn string) (machine.Machine, error) {
	c, err := p.known(conn)
	if err != nil {
		return nil, err
	}
	return ikev1.NewInitiator(p.env, b.SPI, b.Seed, c, b.Local, b.Remote), nil
}

// NewResponder implements Version.
func (p *IKEv1) NewResponder(b Birth) machine.Machine {
	return ikev1.NewResponder(p.env, b.SPI, b.Seed, b.Local, b.Remote)
}

// packedEnv1 is the form of an Env in a journal.
type packedEnv1 struct {
	Limits      ikev1.Limits
	Connections []*policy.Connection
	Anchors     []policy.Anchor
}

// Rebuild returns the machine that a journal was written for, of either version, for Replay.
func Rebuild(h journal.Header) (machine.Machine, error) {
	if h.Version != majorVersion1 {
		return RebuildIKEv2(h)
	}
	var packed packedEnv1
	if err := gob.NewDecoder(bytes.NewReader(h.Config)).Decode(&packed); err != nil {
		return nil, fmt.Errorf("engine: the journal's configuration is unreadable: %w", err)
	}
	return rebuild(NewIKEv1(&ikev1.Env{Policy: &policy.Snapshot{Connections: packed.Connections, Anchors: packed.Anchors}, Limits: packed.Limits}), h)
}
