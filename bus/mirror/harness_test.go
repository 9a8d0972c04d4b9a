package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.init.0.func1"))
}

func embeddedConfig(t testing.TB, dir string, b *bus.Bus) Config {
	return Config{Mode: Embedded, Node: "gw1", Boot: "b1", Version: "0.1", StateDir: dir, Bus: b, Log: logger(t)}
}

func externalConfig(t testing.TB, dir string, b *bus.Bus, address string) Config {
	c := embeddedConfig(t, dir, b)
	c.Mode, c.URL = External, "nats://"+address
	return c
}

func start(t testing.TB, c Config) *Mirror {
	t.Helper()
	m, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, m) })
	return m
}

func stop(t testing.TB, m *Mirror) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return m.Stop(ctx)
}

// kill ends m as a crash would: nothing is flushed.
func kill(m *Mirror) {
	m.stop.Do(func() {
		m.cancel()
		m.everything.Wait()
		m.writer.sub.Close()
		m.link.stop()
		m.box.close()
	})
}

// emit publishes n events that carry their number, beginning with from.
func emit(b *bus.Bus, from, n int) {
	for i := range n {
		b.Publish(event.Record{Event: event.ControlRequested{PID: int32(from + i), Verb: "count"}})
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func drained(m *Mirror) func() bool {
	return func() bool { return m.State().Pending == 0 }
}

// natsServer is an external server on loopback that keeps its port and its store over restarts.
type natsServer struct {
	*server.Server
	dir  string
	port int
}

func (n *natsServer) start(t testing.TB) {
	t.Helper()
	port := n.port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("test server not ready")
	}
	n.Server, n.port = s, s.Addr().(*net.TCPAddr).Port
}

func (n *natsServer) stop() {
	n.Shutdown()
	n.WaitForShutdown()
}

func (n *natsServer) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func newServer(t testing.TB) *natsServer {
	t.Helper()
	n := &natsServer{dir: t.TempDir()}
	n.start(t)
	t.Cleanup(n.stop)
	return n
}

// stored returns the ids and subjects of all messages of the only stream that nc sees.
func stored(t testing.TB, nc *nats.Conn) (ids []string, messages []jetstream.Msg) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		n := int(stream.CachedInfo().State.Msgs)
		if n == 0 {
			continue
		}
		consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(60*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			ids = append(ids, m.Headers().Get("Nats-Msg-Id"))
			messages = append(messages, m)
			if id := ids[len(ids)-1]; !bytes.Contains(m.Data(), []byte(`"id":"`+id+`"`)) {
				t.Fatalf("the payload of %s is %s", id, m.Data())
			}
		}
		if err := batch.Error(); err != nil || len(ids) < n {
			t.Fatalf("read %d of %d messages: %v", len(ids), n, err)
		}
	}
	if err := names.Err(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return ids, messages
}

// wantRun checks that ids hold prefix/1 ... in order without hole or repetition, at least n of them; it returns how many.
func wantRun(t testing.TB, ids []string, prefix string, n int) int {
	t.Helper()
	got := 0
	for _, id := range ids {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		got++
		if want := fmt.Sprintf("%s%d", prefix, got); id != want {
			t.Fatalf("message %d of the run is %s, want %s", got, id, want)
		}
	}
	if got < n {
		t.Fatalf("the stream has %d messages of %s, want at least %d", got, prefix, n)
	}
	return got
}

// kinds counts the events in s by name.
func kinds(s *bus.Subscription) map[string]int {
	count := map[string]int{}
	for r, ok := s.TryNext(); ok; r, ok = s.TryNext() {
		count[r.Event.Kind().Name]++
	}
	return count
}

// flaky is a file that fails while told to.
type flaky struct {
	file
	broken *atomic.Bool
}

var errNoSpace = errors.New("no space left on device")

// Write writes half before it fails, as a full disk does.
func (f flaky) Write(b []byte) (int, error) {
	if f.broken.Load() {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, errNoSpace
	}
	return f.file.Write(b)
}

func logger(t testing.TB) *zap.Logger {
	if testing.Verbose() {
		return zaptest.NewLogger(t)
	}
	return zap.NewNop()
}
