package serve

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// handler performs one operation of a service: the body of the request in, that of the response out.
type handler func(ctx context.Context, host auth.Host, op basev1.Op, body []byte) ([]byte, error)

// message is satisfied by pointers to the structs of generated messages.
type message[M any] interface {
	*M
	proto.Message
	ParseWire([]byte) error
}

// decode reads a request, whose octets then lie in body.
func decode[M any, P message[M]](body []byte) (P, error) {
	m := P(new(M))
	if err := m.ParseWire(body); err != nil {
		return nil, fmt.Errorf("%w: request of %d octets is no %s", sdk.ErrInvalid, len(body), m.ProtoReflect().Descriptor().Name())
	}
	return m, nil
}

// encode makes a response and wipes the secrets that are in it now.
func encode(m encoder, secrets ...[]byte) ([]byte, error) {
	body := m.AppendWire(make([]byte, 0, m.WireSize()))
	for _, s := range secrets {
		clear(s)
	}
	return body, nil
}

// encoder is a message; its codec is generated.
type encoder interface {
	WireSize() int
	AppendWire([]byte) []byte
}

func unknownOp(kind string, op basev1.Op) error {
	return fmt.Errorf("%w: operation %v of kind %s; the plugin is older than the daemon", sdk.ErrUnsupported, op, kind)
}
