package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/bus/mirror"
	"github.com/parley-ike/parley/core/control"
)

// startEvents starts what listens to the bus, before anything happens that it should hear.
func (d *daemon) startEvents(ctx context.Context) error {
	c := d.config
	d.boot = bootID()
	d.history = control.NewHistory(d.bus)
	d.onClose(func(context.Context) { d.history.Close() })
	m, err := mirror.Start(ctx, mirror.Config{
		Mode: mirror.Mode(c.NATS.Mode), Node: c.Daemon.Name, Boot: d.boot, Version: Version, StateDir: c.Daemon.StateDir,
		URL: c.NATS.URL, Credentials: c.NATS.Credentials, TLS: mirror.TLS{CA: c.NATS.TLS.CA, Cert: c.NATS.TLS.Cert, Key: c.NATS.TLS.Key},
		MaxBytes: c.NATS.MaxBytes, Bus: d.bus, Log: d.log.Named("mirror"),
	})
	if err != nil {
		return err
	}
	d.mirror = m
	d.onClose(func(ctx context.Context) {
		if err := m.Stop(ctx); err != nil {
			d.log.Warn("events that NATS does not have yet are kept for the next start", zap.Error(err))
		}
	})
	d.publish(event.DaemonStarted{Version: Version, Config: c.Hash})
	return d.serveSubscribers()
}

// serveSubscribers opens the embedded NATS to programs of this machine.
func (d *daemon) serveSubscribers() error {
	if d.config.NATS.Mode != string(mirror.Embedded) {
		return nil
	}
	stop, err := d.mirror.ServeUnix(filepath.Join(d.config.Daemon.RuntimeDir, "nats.sock"))
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) { stop() })
	return nil
}

// bootID names this run of the daemon.
func bootID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
