package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	eventStream  = "PARLEY_EVENTS"
	eventSubject = "parley.v1.evt.>"
)

// events subscribes to the gateway's NATS from the first event on and returns a line for each.
func (g *gateway) events(ctx context.Context) ([]string, error) {
	conn, err := g.NATS()
	if err != nil {
		return nil, err
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
		lines = append(lines, fmt.Sprintf("%s  %-40s %s", e.Sequence[max(0, len(e.Sequence)-4):], e.Type, msg.Subject()))
	}
}
