package ikev2

import (
	"encoding/binary"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// caller is the SA as one that calls plugins (machine.Caller).
type caller struct{ *SA }

func (s caller) Now() time.Time         { return s.now }
func (s caller) Add(e machine.Effect)   { s.fx.Add(e) }
func (s caller) Budget() time.Duration  { return s.conn.CallBudget }
func (s caller) Removal() time.Duration { return s.limits.RemovalWait }
func (s caller) Settle()                { s.settle() }

// Patience is the deadline of the state, if it has one.
func (s caller) Patience() time.Time {
	if s.deadline.IsZero() {
		return s.now.Add(s.limits.RemovalWait)
	}
	return s.deadline
}

// ask calls a plugin and continues with then: once, with a result of type R or with a failure that is final.
func ask[R machine.Result](s *SA, op machine.Op, key uint64, then func(R, *machine.CallError)) {
	machine.Ask(&s.calls, op, key, then)
}

// reserve gets an inbound SPI of a backend. It is ours until a child takes it or it is given back; closing gives it back.
func (s *SA) reserve(backend string, then func(uint32, *machine.CallError)) {
	s.calls.Reserve(backend, s.local.Addr(), s.remote.Addr(), then)
}

// noSPI says that a backend gave no SPI.
func noSPI(err *machine.CallError) failure {
	return failure{cause: event.CauseInstall, notify: wire2.TemporaryFailure, by: byUs, reason: "the SA backend gave no SPI: " + err.Error()}
}

func spiBytes(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

func validSPI(spi []byte) bool {
	return len(spi) == espSPISize && binary.BigEndian.Uint32(spi) >= machine.MinSPI
}
