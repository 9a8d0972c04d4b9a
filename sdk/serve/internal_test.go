package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/sdk/secret"
)

func TestLogRecordsAreHclogsAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(newLogHandler(&out))
	log.Warn("slot is slow", "slot", 7, "key", secret.Bytes("hunter2"), slog.Group("g", "level", "kept"))
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record["@level"] != "warn" || record["@message"] != "slot is slow" || record["slot"] != 7.0 || record["@timestamp"] == nil {
		t.Errorf("record %v", record)
	}
	if g, _ := record["g"].(map[string]any); g["level"] != "kept" {
		t.Errorf("a group's attributes are the plugin's own: %v", record)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a secret is in the log")
	}
	out.Reset()
	log.Debug("not wanted")
	if out.Len() > 0 {
		t.Error("debug records are written without being asked for")
	}
}

func TestNamedFilesAreParsed(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"natt4", "natt4:x", "natt4:2"} {
		if _, err := namedFiles(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if files, err := namedFiles(""); err != nil || len(files) != 0 {
		t.Errorf("of nothing: %v, %v", files, err)
	}
}

func TestACallContextEndsThreeWays(t *testing.T) {
	t.Parallel()
	exchange, cancel := context.WithCancel(t.Context())
	over := &callContext{Context: exchange, deadline: time.Now().Add(time.Hour)}
	late := &callContext{Context: exchange, deadline: time.Now().Add(-time.Second)}
	dead := &callContext{Context: exchange, deadline: time.Now().Add(time.Hour)}
	if over.Err() != nil || !errors.Is(late.Err(), context.DeadlineExceeded) {
		t.Errorf("%v, %v", over.Err(), late.Err())
	}
	<-late.Done()
	over.end()
	<-over.Done()
	if !errors.Is(over.Err(), context.Canceled) {
		t.Errorf("a finished call: %v", over.Err())
	}
	waiting := dead.Done()
	cancel()
	<-waiting
	if !errors.Is(dead.Err(), context.Canceled) {
		t.Errorf("a dead exchange: %v", dead.Err())
	}
	for _, c := range []*callContext{late, dead} {
		c.end()
	}
}

func TestOnlyTheHandshakePasses(t *testing.T) {
	t.Parallel()
	var handshake, others bytes.Buffer
	in := "hello\n1|1|unix|/s/plugin1|grpc|\n1|2|x\nbye"
	passHandshake(strings.NewReader(in), &handshake, &others)
	if handshake.String() != "1|1|unix|/s/plugin1|grpc|\n" || others.String() != "hello\n1|2|x\nbye" {
		t.Errorf("handshake %q, others %q", handshake.String(), others.String())
	}
}

func TestABudgetFitsItsField(t *testing.T) {
	t.Parallel()
	if got := budget(time.Now().Add(noBudget)); got != math.MaxUint32 {
		t.Errorf("a call without a deadline leaves its own calls %d ms", got)
	}
}
