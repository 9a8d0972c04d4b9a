package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Modes of the folders that the daemon makes. Those of one that is there stay as they are.
const (
	stateMode   = 0o750
	runtimeMode = 0o711 // plugins of other users and the control socket's group pass through; each thing in it has its own mode
)

// makeFolders makes the folders and takes the runtime folder for this daemon alone. A second one would take away the socket
// of the events, and its plugins would share folders with those of the first.
func (d *daemon) makeFolders(context.Context) error {
	c := d.config.Daemon
	if err := os.MkdirAll(c.StateDir, stateMode); err != nil {
		return fmt.Errorf("parleyd: the state folder: %w; make it, or name another by state_dir or --state-dir", err)
	}
	if err := os.MkdirAll(c.RuntimeDir, runtimeMode); err != nil {
		return fmt.Errorf("parleyd: the runtime folder: %w; make it, or name another by runtime_dir or --runtime-dir", err)
	}
	lock, err := lockFolder(c.RuntimeDir)
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) { _ = lock.Close() })
	return nil
}

func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "parleyd.lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("parleyd: cannot write to the runtime folder: %w; let this user write there, or name another by runtime_dir or --runtime-dir", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("parleyd: another parleyd uses the runtime folder %s: stop it, or name another by runtime_dir or --runtime-dir", dir)
	}
	return nil, fmt.Errorf("parleyd: cannot lock the runtime folder %s: %w", dir, err)
}
