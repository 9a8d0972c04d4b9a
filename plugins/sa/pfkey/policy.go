package pfkey

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk/sa"
)

// policy names a policy in the kernel.
type policy struct {
	kernel.Traffic
	dir uint8
}

// selector is a message about a policy that is named by its selector and direction.
func selector(kind pfkeyv2.Type, t kernel.Traffic, dir uint8) *pfkeyv2.Message {
	proto := t.Proto
	if proto == 0 {
		proto = pfkeyv2.AnyProto
	}
	src, dst := &pfkeyv2.Address{Proto: proto, Prefix: t.Local, Port: t.LocalPort}, &pfkeyv2.Address{Proto: proto, Prefix: t.Remote, Port: t.RemotePort}
	if dir != kernel.DirOut {
		src, dst = dst, src
	}
	return &pfkeyv2.Message{Type: kind, Src: src, Dst: dst,
		Policy: &pfkeyv2.Policy{Action: pfkeyv2.IPsec, Dir: pfkeyv2.Direction(dir + 1), Priority: t.Priority()}}
}

// request says which SAs a policy's packets need.
func request(c *sa.Child, dir uint8) pfkeyv2.Request {
	r := pfkeyv2.Request{Mode: mode(c), ReqID: c.ReqID}
	if r.Mode == pfkeyv2.ModeTunnel {
		to := *c
		to.Local, to.Remote = kernel.Outer(c)
		h := kernel.Direction(&to, dir == kernel.DirOut)
		r.Src, r.Dst = h.Src, h.Dst
	}
	return r
}

// migration is a MIGRATE: where the SAs of a policy are, and where they go.
func migration(from, to *sa.Child, t kernel.Traffic, dir uint8) *pfkeyv2.Message {
	m := selector(pfkeyv2.Migrate, t, dir)
	m.Policy.Requests = []pfkeyv2.Request{request(from, dir), request(to, dir)}
	return m
}

// PutPolicy implements kernel.Driver.
func (d *driver) PutPolicy(c *sa.Child, t kernel.Traffic, dir uint8) error {
	m := selector(pfkeyv2.SPDAdd, t, dir)
	m.Policy.Requests = []pfkeyv2.Request{request(c, dir)}
	return d.put(m, policy{t, dir})
}

// PutShunt implements kernel.Shunter.
func (d *driver) PutShunt(action sa.Action, t kernel.Traffic, dir uint8) error {
	m := selector(pfkeyv2.SPDAdd, t, dir)
	m.Policy.Action = pfkeyv2.Discard
	if action == sa.Bypass {
		m.Policy.Action = pfkeyv2.None
	}
	return d.put(m, policy{t, dir})
}

// put makes a policy, over one of ours if there is one.
func (d *driver) put(m *pfkeyv2.Message, p policy) error {
	if err := d.learn(); err != nil {
		return err
	}
	if _, mine := d.policies[p]; mine {
		m.Type = pfkeyv2.SPDUpdate
	}
	r, err := d.ask(m)
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("a policy of another program for %v to %v is in the way; remove it (setkey -DP): %w", p.Local, p.Remote, err)
	case err != nil:
		return err
	case r.Policy != nil:
		d.policies[p] = r.Policy.ID
	}
	return nil
}

// DropPolicy implements kernel.Driver.
func (d *driver) DropPolicy(t kernel.Traffic, dir uint8) error {
	if err := d.learn(); err != nil {
		return err
	}
	p := policy{t, dir}
	if _, mine := d.policies[p]; !mine {
		return nil
	}
	if _, err := d.ask(selector(pfkeyv2.SPDDelete, t, dir)); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	delete(d.policies, p)
	return nil
}

// learn finds out once which of the kernel's policies an earlier life has made.
func (d *driver) learn() error {
	if d.learnt {
		return nil
	}
	err := d.dump(&pfkeyv2.Message{Type: pfkeyv2.SPDDump}, func(m *pfkeyv2.Message) {
		if p, mine := ofOurs(m); mine {
			d.policies[p] = m.Policy.ID
		}
	})
	d.learnt = err == nil
	return err
}

// ofOurs names a policy that the kernel told of. It is ours when its reqid is of our range, or, as one that leads to no SA has none, when
// its priority is that which ours has.
func ofOurs(m *pfkeyv2.Message) (p policy, mine bool) {
	if m.Policy == nil || m.Src == nil || m.Dst == nil || m.Policy.Dir < pfkeyv2.DirIn || m.Policy.Dir > pfkeyv2.DirFwd {
		return p, false
	}
	local, remote := m.Src, m.Dst
	if p.dir = uint8(m.Policy.Dir) - 1; p.dir != kernel.DirOut {
		local, remote = remote, local
	}
	p.Traffic = kernel.Traffic{Local: masked(local), Remote: masked(remote), Proto: local.Proto, LocalPort: local.Port, RemotePort: remote.Port}
	if p.Proto == pfkeyv2.AnyProto {
		p.Proto = 0
	}
	if len(m.Policy.Requests) == 0 {
		return p, m.Policy.Priority == p.Priority()
	}
	return p, ours(m.Policy.Requests[0].ReqID)
}

func masked(a *pfkeyv2.Address) netip.Prefix { return a.Prefix.Masked() }
