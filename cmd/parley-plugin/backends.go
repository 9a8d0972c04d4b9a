package main

import (
	"os"

	"github.com/parley-ike/parley/plugins/sa/pfkey"
	"github.com/parley-ike/parley/plugins/sa/userspace"
	"github.com/parley-ike/parley/plugins/sa/xfrm"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

func newUserspace() (serve.Item, error) {
	return serve.SA("userspace", &lateBackend[userspace.Config]{
		made: make(chan struct{}),
		name: "userspace", schema: string(userspace.Schema()),
		place: func(c *userspace.Config, dir, owner string) { setDefaults(&c.StateDir, dir, &c.Owner, owner) },
		make: func(c userspace.Config, encap []*os.File) (sa.Plugin, error) {
			return userspace.New(c, userspace.Sockets{Encap: encap})
		},
		close: func(b sa.Plugin, remove bool) { _ = b.(*userspace.Plugin).Close(remove) },
	}), nil
}

func newXFRM() (serve.Item, error) { return onXFRM("xfrm", xfrm.New) }

func newOffload() (serve.Item, error) { return onXFRM("offload", xfrm.NewOffload) }

func onXFRM(name string, open func(xfrm.Config, xfrm.Sockets) (*xfrm.Plugin, error)) (serve.Item, error) {
	return serve.SA(name, &lateBackend[xfrm.Config]{
		made: make(chan struct{}),
		name: name, schema: string(xfrm.Schema()),
		place: func(c *xfrm.Config, dir, owner string) { setDefaults(&c.StateDir, dir, &c.Owner, owner) },
		make: func(c xfrm.Config, encap []*os.File) (sa.Plugin, error) {
			return open(c, xfrm.Sockets{Encap: encap})
		},
		close: func(b sa.Plugin, _ bool) { b.(*xfrm.Plugin).Close() },
	}), nil
}

func newPFKEY() (serve.Item, error) {
	return serve.SA("pfkey", &lateBackend[pfkey.Config]{
		made: make(chan struct{}),
		name: "pfkey", schema: string(pfkey.Schema()),
		place: func(c *pfkey.Config, dir, owner string) { setDefaults(&c.StateDir, dir, &c.Owner, owner) },
		make: func(c pfkey.Config, encap []*os.File) (sa.Plugin, error) {
			return pfkey.New(c, pfkey.Sockets{Encap: encap})
		},
		close: func(b sa.Plugin, _ bool) { b.(*pfkey.Plugin).Close() },
	}), nil
}

// setDefaults fills in the folder and the owner where the configuration names none.
func setDefaults(dir *string, defaultDir string, owner *string, defaultOwner string) {
	if *dir == "" {
		*dir = defaultDir
	}
	if *owner == "" {
		*owner = defaultOwner
	}
}
