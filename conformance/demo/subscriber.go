package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	eventStream  = "PARLEY_EVENTS"
	eventSubject = "parley.v1.evt.>"
)

// socketDialer reaches a gateway's embedded NATS over its unix socket; it listens on no network.
type socketDialer string

func (s socketDialer) Dial(string, string) (net.Conn, error) { return net.Dial("unix", string(s)) }

// events subscribes to the gateway's NATS from the first event on and returns a line for each.
func (g *gateway) events(ctx context.Context) ([]string, error) {
	conn, err := nats.Connect("nats://gateway", nats.SetCustomDialer(socketDialer(g.path("run/nats.sock"))), nats.Name("demo"))
	if err != nil {
		return nil, fmt.Errorf("demo: connect to the NATS of %s: %w", g.name, err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	consumer, err := js.OrderedConsumer(ctx, eventStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{eventSubject}})
	if err != nil {
		return nil, fmt.Errorf("demo: subscribe to %s: %w", eventSubject, err)
	}
	return readEvents(consumer)
}

// readEvents reads until nothing more comes for a moment.
func readEvents(consumer jetstream.Consumer) ([]string, error) {
	var lines []string
	for {
		msg, err := consumer.Next(jetstream.FetchMaxWait(500 * time.Millisecond))
		if err != nil && len(lines) > 0 {
			return lines, nil
		} else if err != nil {
			return nil, fmt.Errorf("demo: no event came from NATS: %w", err)
		}
		var e struct {
			Type     string `json:"type"`
			Sequence string `json:"sequence"`
		}
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s  %-40s %s", e.Sequence[len(e.Sequence)-4:], e.Type, msg.Subject()))
	}
}
