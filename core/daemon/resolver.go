package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

// resolver keeps a file for each connection whose peer told us DNS servers: CONNECTION.conf in the folder "dns" of the runtime
// folder, in the form of resolv.conf(5), from when an address is assigned to when it is withdrawn. The daemon leaves
// /etc/resolv.conf alone; what the system's resolver is to do with the files is for others to say, such as a unit that
// watches the folder and calls resolvectl or resolvconf. When the peer named domains, they stand after "search", and the
// servers are for these domains and no others (RFC 8598 section 5).
type resolver struct {
	dir    string
	log    *zap.Logger
	events *bus.Subscription
	told   map[string][]event.AddressAssigned // by connection; the last one counts
}

// dnsFolder lies in the runtime folder.
const dnsFolder = "dns"

const (
	dnsMode     = 0o755 // resolvers of other users read it
	dnsFileMode = 0o644
)

// newResolver begins with an empty folder: what an earlier daemon left is no longer true.
func newResolver(b *bus.Bus, dir string, log *zap.Logger) (*resolver, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("parleyd: the folder for DNS servers: %w", err)
	}
	return &resolver{dir: dir, log: log, told: map[string][]event.AddressAssigned{}, events: b.Subscribe("resolver", bus.DropOldest(4096), concernsResolver)}, nil
}

func concernsResolver(r event.Record) bool {
	switch r.Event.(type) {
	case event.AddressAssigned, event.AddressWithdrawn:
		return true
	}
	return false
}

// run keeps the files until ctx is done, and removes them then.
func (r *resolver) run(ctx context.Context) {
	defer r.events.Close()
	for {
		rec, err := r.events.Next(ctx)
		if err != nil {
			_ = os.RemoveAll(r.dir)
			return
		}
		if err := r.hear(rec); err != nil {
			r.log.Error("the DNS servers of a peer could not be written down", zap.String("conn", rec.Subject.Conn), zap.Error(err))
		}
	}
}

func (r *resolver) hear(rec event.Record) error {
	conn := rec.Subject.Conn
	switch e := rec.Event.(type) {
	case event.AddressAssigned:
		r.told[conn] = append(r.told[conn], e)
	case event.AddressWithdrawn:
		r.told[conn] = slices.DeleteFunc(r.told[conn], func(o event.AddressAssigned) bool { return o.Holder == e.Holder })
	}
	path := filepath.Join(r.dir, conn+".conf")
	if n := len(r.told[conn]); n > 0 && len(r.told[conn][n-1].DNS) > 0 {
		return replaceFile(path, resolvConf(conn, r.told[conn][n-1]))
	}
	if len(r.told[conn]) == 0 {
		delete(r.told, conn)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// resolvConf renders what a peer told. Addresses and domains were checked when they were read.
func resolvConf(conn string, e event.AddressAssigned) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# DNS of connection %s, as long as %v is assigned to us. Written by parleyd.\n", conn, e.Addresses)
	for _, a := range e.DNS {
		fmt.Fprintf(&b, "nameserver %v\n", a)
	}
	if len(e.Domains) > 0 {
		fmt.Fprintln(&b, "# These servers are for these domains only (RFC 8598).")
	}
	search := e.Domains
	if e.Search != "" && !slices.Contains(search, e.Search) {
		search = append([]string{e.Search}, search...)
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	return b.Bytes()
}

// replaceFile writes a file that readers see whole.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), dnsMode); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, dnsFileMode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (d *daemon) startResolver(context.Context) error {
	r, err := newResolver(d.bus, filepath.Join(d.config.Daemon.RuntimeDir, dnsFolder), d.log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	d.onClose(func(context.Context) { stop(); <-done })
	return nil
}
