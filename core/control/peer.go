package control

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// caller is who is at the other end of a connection, by the kernel.
type caller struct {
	uid, gid uint32
	pid      int32
	groups   []uint32 // supplementary
}

// AuthType implements credentials.AuthInfo.
func (caller) AuthType() string { return "peercred" }

// mayUse reports whether a caller is root, the daemon's user or in the socket's group.
func (c caller) mayUse(uid, gid uint32) bool {
	return c.uid == 0 || c.uid == uid || c.gid == gid || slices.Contains(c.groups, gid)
}

// peerCredentials takes the peer's credentials from the socket. Who may not use it is told so later, in a call.
type peerCredentials struct{}

// ServerHandshake implements credentials.TransportCredentials.
func (peerCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("control: %T is no unix socket", c)
	}
	who, err := callerOf(u)
	if err != nil {
		return nil, nil, fmt.Errorf("control: no peer credentials: %w", err)
	}
	return c, who, nil
}

// ClientHandshake implements credentials.TransportCredentials; it is not for clients.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("control: these credentials are the server's")
}

// Info implements credentials.TransportCredentials.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}

// Clone implements credentials.TransportCredentials.
func (p peerCredentials) Clone() credentials.TransportCredentials { return p }

// OverrideServerName implements credentials.TransportCredentials.
func (peerCredentials) OverrideServerName(string) error { return nil }

func callerOf(u *net.UnixConn) (who caller, err error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return who, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner == nil {
			who = caller{uid: cred.Uid, gid: cred.Gid, pid: cred.Pid, groups: peerGroups(fd)}
		}
	})
	return who, errors.Join(err, inner)
}

// maxGroups is the kernel's NGROUPS_MAX before which a caller is believed to be in no further group: more than anybody has.
const maxGroups = 1024

// peerGroups returns the supplementary groups of the peer, nil when the kernel does not tell.
func peerGroups(fd uintptr) []uint32 {
	var buf [4 * maxGroups]byte
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	var groups []uint32
	for b := buf[:min(int(size), len(buf))]; len(b) >= 4; b = b[4:] {
		groups = append(groups, binary.NativeEndian.Uint32(b))
	}
	return groups
}

// admit returns who calls, and an error when they may not.
func (s *Server) admit(ctx context.Context) (caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, status.Error(codes.PermissionDenied, "control: the caller is unknown")
	}
	who, ok := p.AuthInfo.(caller)
	if !ok {
		return caller{}, status.Error(codes.PermissionDenied, "control: the caller is unknown")
	}
	if !who.mayUse(uint32(os.Geteuid()), s.gid) {
		return who, status.Errorf(codes.PermissionDenied, "control: uid %d may not control this daemon: be root, or a member of group %d", who.uid, s.gid)
	}
	return who, nil
}
