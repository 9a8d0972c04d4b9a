package xfrm

import (
	"fmt"
	"hash/fnv"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

var _ kernel.Driver = (*driver)(nil)

// Reqids of ours: ReqIDBase to ReqIDBase+reqIDMask, and likewise for the offload backend, whose entries the other one never touches.
const (
	ReqIDBase        = 0x50a00000
	OffloadReqIDBase = 0x50b00000
	reqIDBits        = 20
	reqIDMask        = 1<<reqIDBits - 1
)

// reqID marks the kernel's entries of a child as ours. Children that follow one another share it, since they share policies.
func (k *driver) reqID(c *sa.Child) uint32 {
	id := c.ReqID
	if id == 0 {
		h := fnv.New32a()
		fmt.Fprintf(h, "%s\x00%s", c.Conn, c.Name)
		id = h.Sum32()
	}
	return k.base | max((id^id>>reqIDBits)&reqIDMask, 1) // the first one is that of reserved SPIs
}

func (k *driver) ours(reqid uint32) bool { return reqid&^reqIDMask == k.base }

// NewReqID implements kernel.Driver: reqID makes what the kernel is told from any number.
func (k *driver) NewReqID(wish uint32, _ func(uint32) bool) (uint32, error) { return wish, nil }

// Check implements kernel.Driver.
func (k *driver) Check(c *sa.Child) error {
	if c.ReplayWindow > maxReplayWindow {
		return fmt.Errorf("replay window of %d packets; at most %d: %w", c.ReplayWindow, maxReplayWindow, sdk.ErrUnsupported)
	}
	_, err := transforms(c, c.EncrOut, c.IntegOut)
	return err
}

// GetSA implements kernel.Driver.
func (k *driver) GetSA(c *sa.Child, h kernel.Half) (*kernel.State, error) {
	s, err := k.getSA(h)
	if err != nil || s == nil || s.Reqid != k.reqID(c) {
		return nil, err
	}
	return s.plain(), nil
}

// plain is the state as the backend is told of it.
func (s *state) plain() *kernel.State {
	return &kernel.State{ReqID: s.Reqid, Bytes: s.Curlft.Bytes, Packets: s.Curlft.Packets, Detail: s}
}

// PutSA implements kernel.Driver.
func (k *driver) PutSA(c *sa.Child, h kernel.Half, from *kernel.State) error {
	var carried []attribute
	if from != nil {
		carried = from.Detail.(*state).carry(h.Out)
	}
	return k.place(c, h, carried)
}

// DropSA implements kernel.Driver.
func (k *driver) DropSA(_ *sa.Child, h kernel.Half) error { return k.dropSA(h) }

// Meaning implements kernel.Driver.
func (k *driver) Meaning(err error) error { return meaning(err) }
