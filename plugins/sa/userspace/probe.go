package userspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
)

// lacking says what this process lacks to carry ESP, nil when nothing. It changes nothing.
func lacking(device string) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return tunError(err)
	}
	_ = unix.Close(fd)
	if !capable(unix.CAP_NET_ADMIN) {
		return errors.New("CAP_NET_ADMIN is missing, so that neither TUN device nor routes can be made; run as root, or grant the plugin the capability")
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protoESP)
	if err != nil {
		return fmt.Errorf("no raw socket for ESP: %w; run as root, or grant the plugin CAP_NET_RAW", err)
	}
	_ = unix.Close(fd)
	return nil
}

// capable tells whether this thread has a capability in effect.
func capable(which int) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return false
	}
	return data[which/32].Effective&(1<<(which%32)) != 0
}

// canaryPacket is the plaintext of 4 octets {1, 2, 3, 4} under AES-128-GCM with key 00..0f and salt 10..13, SPI 0x100,
// number 1.
var canaryPacket = []byte{
	0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0x5f, 0x44, 0xf9, 0x95, 0xba, 0x16, 0x2c, 0x12, 0xbe, 0x47, 0x7d, 0xa1, 0x8c, 0xfe, 0xdf, 0x92, 0x21, 0x03, 0xd2, 0xb3, 0x94, 0x92, 0x9e, 0x05,
}

// Canary proves that the cryptography works, a known packet being made and opened, and that the data path still runs.
func (p *Plugin) Canary(context.Context) error {
	p.mu.Lock()
	plane := p.plane
	p.mu.Unlock()
	if plane != nil {
		if err := plane.alive(); err != nil {
			return fmt.Errorf("sa/userspace: canary: %w", err)
		}
	}
	return knownAnswer()
}

func knownAnswer() error {
	suite, err := esp.Lookup(esp.EncrAESGCM16, 128, esp.IntegNone)
	if err != nil {
		return err
	}
	key := make([]byte, suite.EncrKey)
	for i := range key {
		key[i] = byte(i)
	}
	params := esp.Params{Suite: suite, SPI: minSPI, Encr: key}
	sealer, err := esp.NewSealer(params)
	if err != nil {
		return err
	}
	opener, err := esp.NewOpener(params)
	if err != nil {
		return err
	}
	payload := []byte{1, 2, 3, 4}
	buf := make([]byte, esp.MaxHeadroom+len(payload)+esp.MaxTailroom)
	copy(buf[esp.MaxHeadroom:], payload)
	packet := sealer.Seal(buf, esp.MaxHeadroom, len(payload), 1, protoIPv4)
	if !bytes.Equal(packet, canaryPacket) {
		return errors.New("sa/userspace: canary: a known packet came out wrong; the processor or this program is damaged")
	}
	got, next, err := opener.Open(nil, packet, 1)
	if err != nil || next != protoIPv4 || !bytes.Equal(got, payload) {
		return errors.New("sa/userspace: canary: a known packet does not open; the processor or this program is damaged")
	}
	return nil
}
