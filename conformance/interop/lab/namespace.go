package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace without a name in the file system: it lives as long as somebody holds it.
type Namespace struct {
	Name   string // for people
	handle netns.NsHandle
	Links  *netlink.Handle
}

// NewNamespace makes an empty network namespace with its loopback up.
func NewNamespace(name string) (*Namespace, error) {
	handle, err := newHandle()
	if err != nil {
		return nil, fmt.Errorf("lab: make network namespace %s: %w (root or a user namespace is needed)", name, err)
	}
	links, err := netlink.NewHandleAt(handle)
	if err != nil {
		_ = handle.Close()
		return nil, fmt.Errorf("lab: netlink in %s: %w", name, err)
	}
	ns := &Namespace{Name: name, handle: handle, Links: links}
	if err := ns.Up("lo"); err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// newHandle makes the namespace on a thread of its own, which ends with its goroutine because it stays locked.
func newHandle() (netns.NsHandle, error) {
	type made struct {
		handle netns.NsHandle
		err    error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread()
		handle, err := netns.New()
		result <- made{handle, err}
	}()
	m := <-result
	return m.handle, m.err
}

// Do runs f on a thread that is in the namespace. Sockets that f opens stay there. f must not start goroutines that
// rely on it.
func (ns *Namespace) Do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is not used again
		if err := netns.Set(ns.handle); err != nil {
			result <- fmt.Errorf("lab: enter %s: %w", ns.Name, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// Start starts a command in the namespace.
func (ns *Namespace) Start(cmd *exec.Cmd) error { return ns.Do(cmd.Start) }

// Run runs a command in the namespace to its end.
func (ns *Namespace) Run(cmd *exec.Cmd) error {
	if err := ns.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Processes lists the processes whose main thread is in the namespace.
func (ns *Namespace) Processes() ([]int, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(ns.handle), &own); err != nil {
		return nil, err
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, link := range links {
		var other unix.Stat_t
		if unix.Stat(link, &other) != nil || other.Ino != own.Ino || other.Dev != own.Dev { // or it has just ended
			continue
		}
		// Our own main thread may have been in Do, and Go parks it there for good instead of ending it.
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Close lets go of the namespace; the kernel removes it with the last process in it.
func (ns *Namespace) Close() {
	ns.Links.Close()
	_ = ns.handle.Close()
}

// Up brings a link up.
func (ns *Namespace) Up(link string) error {
	l, err := ns.Links.LinkByName(link)
	if err == nil {
		err = ns.Links.LinkSetUp(l)
	}
	if err != nil {
		return fmt.Errorf("lab: %s: bring up %s: %w", ns.Name, link, err)
	}
	return nil
}

// Down takes a link down, and with it the routes that use it.
func (ns *Namespace) Down(link string) error {
	l, err := ns.Links.LinkByName(link)
	if err == nil {
		err = ns.Links.LinkSetDown(l)
	}
	if err != nil {
		return fmt.Errorf("lab: %s: take down %s: %w", ns.Name, link, err)
	}
	return nil
}

// Addr gives a link an address such as "10.9.0.1/24"; a link that does not exist is made as one end of a veth pair, so
// that a namespace has protected networks of its own.
func (ns *Namespace) Addr(link, cidr string) error {
	l, err := ns.Links.LinkByName(link)
	if err != nil {
		if l, err = ns.stub(link); err != nil {
			return err
		}
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("lab: address %s: %w", cidr, err)
	}
	if addr.IP.To4() == nil {
		addr.Flags = 0x02 // IFA_F_NODAD: usable at once
	}
	if err := ns.Links.AddrReplace(l, addr); err != nil {
		return fmt.Errorf("lab: %s: give %s to %s: %w", ns.Name, cidr, link, err)
	}
	return nil
}

// Addresses lists the addresses of all links.
func (ns *Namespace) Addresses() (all []netip.Addr, err error) {
	list, err := ns.Links.AddrList(nil, netlink.FAMILY_ALL)
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			all = append(all, ip.Unmap())
		}
	}
	return all, err
}

// DropAddr takes an address from a link, and with it the routes that use it.
func (ns *Namespace) DropAddr(link, cidr string) error {
	l, err := ns.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("lab: %s: %w", ns.Name, err)
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("lab: address %s: %w", cidr, err)
	}
	return ns.Links.AddrDel(l, addr)
}

func (ns *Namespace) stub(name string) (netlink.Link, error) {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "x"}
	if err := ns.Links.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("lab: %s: make %s: %w", ns.Name, name, err)
	}
	for _, end := range []string{name, name + "x"} {
		if err := ns.Up(end); err != nil {
			return nil, err
		}
	}
	return ns.Links.LinkByName(name)
}

// Join connects two namespaces by a veth pair whose ends are named alike on both sides.
func Join(a, b *Namespace, link string) error { return JoinAs(a, link, b, link) }

// JoinAs connects two namespaces by a veth pair.
func JoinAs(a *Namespace, linkA string, b *Namespace, linkB string) error {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: linkA}, PeerName: linkB, PeerNamespace: netlink.NsFd(int(b.handle))}
	if err := a.Links.LinkAdd(veth); err != nil {
		return fmt.Errorf("lab: join %s and %s: %w", a.Name, b.Name, err)
	}
	return errors.Join(a.Up(linkA), b.Up(linkB))
}

// Possible reports why namespaces with tunnels cannot be made here, nil when they can.
func Possible() error {
	ns, err := NewNamespace("probe")
	if err != nil {
		return err
	}
	ns.Close()
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("lab: no TUN device: %w (load the kernel's tun module; without root, /dev/net/tun must be open to all)", err)
	}
	return tun.Close()
}
