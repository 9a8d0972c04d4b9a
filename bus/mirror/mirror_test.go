package mirror

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

func TestEveryEventReachesASubscriberInOrder(t *testing.T) {
	b := bus.New()
	m := start(t, embeddedConfig(t, t.TempDir(), b))
	nc, err := m.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync(Subjects + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	uid := event.UID{1, 2, 3}
	b.Publish(event.Record{Subject: event.Subject{IKE: uid, Conn: "site b"}, SASequence: 1, Event: event.AuthFailed{Reason: "wrong key"}})
	emit(b, 0, 999)
	for i := range 1000 {
		msg, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if i > 0 {
			continue
		}
		if want := "parley.v1.evt.gw1.auth.failed.site%20b"; msg.Subject != want {
			t.Errorf("subject %s, want %s", msg.Subject, want)
		}
		for name, want := range map[string]string{
			"Nats-Msg-Id": "gw1/b1/1", "Content-Type": "application/cloudevents+json", "ce-id": "gw1/b1/1", "ce-source": "/parley/gw1",
			"ce-type": "parley.auth.failed.v1", "ce-subject": "ikesa/" + uid.String(),
		} {
			if got := msg.Header.Get(name); got != want {
				t.Errorf("header %s is %q, want %q", name, got, want)
			}
		}
		var envelope struct{ Data struct{ Reason string } }
		if err := json.Unmarshal(msg.Data, &envelope); err != nil || envelope.Data.Reason != "wrong key" {
			t.Errorf("payload %s: %v", msg.Data, err)
		}
	}
	eventually(t, "all acknowledged", drained(m))
	if s := m.State(); !s.Connected || s.Published != 1000 || s.Dropped != 0 || s.LastError != "" {
		t.Errorf("state %+v", s)
	}
	ids, messages := stored(t, nc)
	wantRun(t, ids, "gw1/b1/", 1000)
	for i, msg := range messages[1:] { // else one acknowledgement would not vouch for a burst
		if got := msg.Headers().Get("Nats-Expected-Last-Msg-Id"); got != ids[i] {
			t.Fatalf("message %s names %q as its predecessor, want %s", ids[i+1], got, ids[i])
		}
	}
}

func TestTheStoreIsPrivate(t *testing.T) {
	dir := t.TempDir()
	start(t, embeddedConfig(t, dir, bus.New()))
	for _, name := range []string{"nats", "outbox"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", name, info.Mode())
		}
	}
}

func TestAStreamGoesOnAfterARestartOfTheDaemon(t *testing.T) {
	dir := t.TempDir()
	for i, boot := range []string{"b1", "b2", "b3"} {
		b := bus.New()
		c := embeddedConfig(t, dir, b)
		c.Boot = boot
		m := start(t, c)
		emit(b, 0, 100)
		if err := stop(t, m); err != nil {
			t.Fatal(err)
		}
		if got := m.State().Published; got != 100 {
			t.Errorf("run %d sent %d, want 100: earlier ones must not be sent again", i, got)
		}
	}
	b := bus.New()
	c := embeddedConfig(t, dir, b)
	c.Boot = "b4"
	m := start(t, c)
	nc, err := m.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ids, _ := stored(t, nc)
	for _, boot := range []string{"b1", "b2", "b3"} {
		if n := wantRun(t, ids, "gw1/"+boot+"/", 100); n != 100 {
			t.Errorf("run %s has %d events, want 100", boot, n)
		}
	}
}

func TestStopLeavesWhatADeadServerDidNotTakeAndSaysSo(t *testing.T) {
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, "127.0.0.1:1"))
	emit(b, 0, 10)
	eventually(t, "an outage", func() bool { return m.State().LastError != "" })
	begin := time.Now()
	err := stop(t, m)
	if err == nil || !strings.Contains(err.Error(), "not in the stream") {
		t.Errorf("got %v, want an error that tells of events left", err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("stopping took %v though the server is known to be dead", d)
	}
}

func TestAMirrorThatIsOffDoesNothing(t *testing.T) {
	m := start(t, Config{Mode: Off})
	if _, err := m.Conn(); !errors.Is(err, ErrOff) {
		t.Errorf("got %v, want ErrOff", err)
	}
	if s := m.State(); s != (State{Mode: Off}) {
		t.Errorf("state %+v", s)
	}
}

func TestTwoMirrorsDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	start(t, externalConfig(t, dir, bus.New(), "127.0.0.1:1"))
	if _, err := Start(t.Context(), externalConfig(t, dir, bus.New(), "127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want an error that says the directory is in use", err)
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	good := Config{Mode: External, Node: "gw1", Boot: "b1", StateDir: "/nonexistent", Bus: bus.New(), URL: "nats://host:4222"}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"mode":             {func(c *Config) { c.Mode = "maybe" }, "none of off, embedded, external"},
		"node":             {func(c *Config) { c.Node = "a b" }, "node"},
		"boot":             {func(c *Config) { c.Boot = strings.Repeat("x", 65) }, "boot"},
		"no url":           {func(c *Config) { c.URL = "" }, "needs a url"},
		"password in url":  {func(c *Config) { c.URL = "nats://me:hunter2@host:4222" }, "name a file"},
		"second url":       {func(c *Config) { c.URL = "nats://host:1, nats://me:hunter2@host:4222" }, "name a file"},
		"broken url":       {func(c *Config) { c.URL = "nats://hunter2:%zz@host" }, "not of the form"},
		"two credentials":  {func(c *Config) { c.Credentials, c.NKeySeed = "a", "b" }, "choose one"},
		"key without cert": {func(c *Config) { c.TLS.Key = "a" }, "belong together"},
		"missing file":     {func(c *Config) { c.Credentials = "/nonexistent/creds" }, "/nonexistent/creds"},
		"negative":         {func(c *Config) { c.MaxBytes = -1 }, "negative"},
		"no bus":           {func(c *Config) { c.Bus = nil }, "required"},
		"listen":           {func(c *Config) { c.Mode, c.Listen.Address = Embedded, "127.0.0.1:0" }, "listen.cert"},
		"listen, no users": {func(c *Config) { c.Mode, c.Listen = Embedded, Listen{Address: ":0", Cert: "a", Key: "b"} }, "listen.users"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := good
			c.change(&bad)
			_, err := Start(t.Context(), bad)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
