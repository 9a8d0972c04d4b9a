package pluginhost

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// maxData bounds octets in an answer that go into an IKE payload, whose length field has 16 bits (RFC 7296 section 3.2).
const maxData = 1<<16 - 1

// encode translates an operation: which service it is for, its number and its message.
func encode(op machine.Op, owner string) (service, basev1.Op, message) {
	switch op := op.(type) {
	case machine.KEInitiate, machine.KERespond, machine.KEFinish:
		return encodeKE(op)
	case machine.Sign, machine.Verify, machine.Authenticate, machine.SKEYID, machine.Protect, machine.Unprotect:
		return encodeAuth(op)
	case machine.CheckPassword, machine.OwnPassword:
		return encodePassword(op)
	default:
		return encodeSA(op, owner)
	}
}

// decode translates the answer to an operation, checking all of it. The octets of the result lie in body.
func decode(op machine.Op, m *basev1.KEMethod, body []byte) (machine.Result, error) {
	switch op := op.(type) {
	case machine.KEInitiate, machine.KERespond, machine.KEFinish:
		return decodeKE(op, m, body)
	case machine.Sign, machine.Verify, machine.Authenticate, machine.SKEYID, machine.Protect, machine.Unprotect:
		return decodeAuth(op, body)
	case machine.CheckPassword, machine.OwnPassword:
		return decodePassword(op, body)
	default:
		return decodeSA(op, body)
	}
}

// service selects a service by what it does.
type service struct {
	kind   string
	name   string // auth: the connection's setting; sa: the backend, "" for the default
	method uint16 // ke
}

// message is a request or an answer; its codec is generated.
type message interface {
	proto.Message
	WireSize() int
	AppendWire([]byte) []byte
	ParseWire([]byte) error
}

func marshal(m message) []byte { return m.AppendWire(make([]byte, 0, m.WireSize())) }

// unmarshal reads an answer, whose octets then lie in body.
func unmarshal(body []byte, m message) error {
	if err := m.ParseWire(body); err != nil {
		return fmt.Errorf("no %s", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// checkLen compares a value with the length that the method has; 0: any, but not none.
func checkLen(what string, value []byte, want uint32) error {
	switch {
	case len(value) == 0:
		return fmt.Errorf("no %s", what)
	case want != 0 && len(value) != int(want):
		return fmt.Errorf("%s of %d octets, want %d", what, len(value), want)
	case len(value) > maxKeyExchange:
		return fmt.Errorf("%s of %d octets, limit %d", what, len(value), maxKeyExchange)
	}
	return nil
}
