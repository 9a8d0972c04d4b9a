package userspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

const (
	tunPath    = "/dev/net/tun"
	defaultMTU = 1400 // of the device, before a child tells the path's
	offset     = 16   // room before a packet that is written to the device: its virtio header, rounded up
)

// openTUN attaches to the persistent device, making it when it is not there, and brings it up. The device stays when this
// process dies.
func openTUN(name string, mtu int, nl *netlink.Handle) (tun.Device, netlink.Link, error) {
	fd, err := attach(name)
	if err != nil {
		return nil, nil, err
	}
	link, err := prepareTUN(fd, name, mtu, nl)
	if err != nil {
		_ = unix.Close(fd)
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), tunPath) // only now, since the poller takes what does not block
	dev, err := tun.CreateTUNFromFile(f, mtu)
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("using %s: %w", name, err)
	}
	go func() {
		for range dev.Events() { // nobody needs them, but the device waits for somebody to take them
		}
	}()
	return dev, link, nil
}

func prepareTUN(fd int, name string, mtu int, nl *netlink.Handle) (netlink.Link, error) {
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return nil, fmt.Errorf("making %s persistent: %w", name, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return bringUp(name, mtu, nl)
}

// attach opens the device; that of a predecessor that was just killed is busy for a moment.
func attach(name string) (int, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		fd, err := tryAttach(name)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return fd, err
		}
	}
}

func tryAttach(name string) (int, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, tunError(err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		return fd, nil
	}
	_ = unix.Close(fd)
	switch {
	case errors.Is(err, unix.EPERM):
		return -1, fmt.Errorf("making TUN device %s: %w; CAP_NET_ADMIN is needed", name, err)
	case errors.Is(err, unix.EBUSY):
		return -1, fmt.Errorf("TUN device %s is held by another process; stop it or name another device: %w", name, err)
	case errors.Is(err, unix.EINVAL):
		return -1, fmt.Errorf("%s exists and is not a TUN device of ours; remove it (ip link del %s) or name another device: %w", name, name, err)
	}
	return -1, fmt.Errorf("making TUN device %s: %w", name, err)
}

// tunError explains why the device cannot be opened.
func tunError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s is missing: %w; load the tun module (modprobe tun), or give the container the device", tunPath, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s may not be opened: %w; run as root, or let this user read and write it", tunPath, err)
	}
	return fmt.Errorf("opening %s: %w", tunPath, err)
}

func bringUp(name string, mtu int, nl *netlink.Handle) (netlink.Link, error) {
	link, err := nl.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", name, err)
	}
	_ = nl.LinkSetIP6AddrGenMode(link, noAddress)
	if err := nl.LinkSetMTU(link, mtu); err != nil {
		return nil, fmt.Errorf("setting the MTU of %s to %d: %w", name, mtu, err)
	}
	if err := nl.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bringing %s up: %w", name, err)
	}
	// Strict reverse path filtering would drop what comes out of the tunnel by another way than it went in; loose does
	// not. A read-only /proc leaves it as it is.
	_ = os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "rp_filter"), []byte("2"), 0o644)
	return link, nil
}

const noAddress = 1 // IN6_ADDR_GEN_MODE_NONE: the kernel gives the device no address and solicits nothing through it
