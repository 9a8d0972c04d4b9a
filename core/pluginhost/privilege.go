package pluginhost

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// privileges are the capabilities that an entry may name; the network ones only for sa plugins.
var privileges = map[string]struct {
	number uintptr
	saOnly bool
}{
	"CAP_NET_ADMIN":        {unix.CAP_NET_ADMIN, true},
	"CAP_NET_RAW":          {unix.CAP_NET_RAW, true},
	"CAP_NET_BIND_SERVICE": {unix.CAP_NET_BIND_SERVICE, false},
	"CAP_IPC_LOCK":         {unix.CAP_IPC_LOCK, false},
	"CAP_DAC_READ_SEARCH":  {unix.CAP_DAC_READ_SEARCH, false},
	"CAP_SYS_RAWIO":        {unix.CAP_SYS_RAWIO, false},
}

func (e *Entry) capabilities() ([]uintptr, error) {
	var out []uintptr
	for _, name := range e.Privileges {
		p, ok := privileges[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("privilege %q is unknown or not to be given to a plugin", name)
		case p.saOnly && !slices.Equal(e.Kinds, []string{"sa"}):
			return nil, fmt.Errorf("privilege %s is for plugins of kind sa alone; split the plugin or remove the privilege", name)
		}
		out = append(out, p.number)
	}
	return out, nil
}

// confine takes from the calling thread, for good, what a child of it could inherit beyond keep. With change, the child is
// to be another user, which the thread must stay able to do; the kernel takes what is left when the user changes.
//
// A daemon without CAP_SETPCAP cannot shrink its bounding set. Its child gains nothing from that set, because no_new_privs
// is set first, and has no more than the thread, whose own capabilities are taken away as well.
func confine(keep []uintptr, change bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := shrinkBoundingSet(keep); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	header, data, err := threadCapabilities()
	if err != nil {
		return err
	}
	allowed := capabilitySets(keep)
	for i := range data {
		data[i].Inheritable = 0
		if !change {
			data[i].Permitted &= allowed[i]
			data[i].Effective &= allowed[i]
		}
	}
	return unix.Capset(&header, &data[0])
}

func shrinkBoundingSet(keep []uintptr) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(keep, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EPERM) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: the kernel does not know this one
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	return nil
}

// capabilitySets has a bit for each capability, as in the words of CapUserData.
func capabilitySets(list []uintptr) (words [2]uint32) {
	for _, c := range list {
		words[c/32] |= 1 << (c % 32)
	}
	return words
}

func threadCapabilities() (unix.CapUserHeader, [2]unix.CapUserData, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return header, data, err
}

// processAttributes makes the child die with the calling thread, lead a process group of its own and keep the
// capabilities keep, as far as we have them, also when it is not root.
func processAttributes(runAs string, keep []uintptr) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	uid := unix.Getuid()
	if runAs != "" {
		credential, err := lookupUser(runAs)
		if err != nil {
			return nil, err
		}
		attr.Credential, uid = credential, int(credential.Uid)
	}
	if uid == 0 {
		return attr, nil // root has what the bounding set leaves
	}
	_, data, err := threadCapabilities()
	if err != nil {
		return nil, err
	}
	for _, c := range keep {
		if data[c/32].Permitted&(1<<(c%32)) != 0 {
			attr.AmbientCaps = append(attr.AmbientCaps, c)
		}
	}
	return attr, nil
}

func lookupUser(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, &RejectError{Reason: fmt.Sprintf("user %q: %v", name, err), Remedy: "create the user or change the plugin block"}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
