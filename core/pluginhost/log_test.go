package pluginhost

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestLogLinesKeepLevelAndFieldsAndAreBounded(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	pump := newLogPump(zap.New(core))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go pump.read(r)
	fmt.Fprintln(w, `{"@level":"warn","@message":"slot is slow","@timestamp":"2026-01-01T00:00:00Z","slot":7}`)
	fmt.Fprintln(w, `{"no":"message"}`)
	fmt.Fprintln(w, strings.Repeat("x", 3*maxLogLine))
	fmt.Fprintln(w, "after the long line")
	fmt.Fprintln(w, `{"@level":"info","@message":"one\nERROR forged \u001b[2J"}`)
	fmt.Fprintln(w, "bell \a and \x1b[31m")
	fmt.Fprint(w, "panic: no end of line")
	_ = w.Close()
	<-pump.done
	all := logs.All()
	if len(all) != 7 {
		t.Fatalf("%d entries: %+v", len(all), all)
	}
	if all[0].Level != zap.WarnLevel || all[0].Message != "slot is slow" || all[0].ContextMap()["slot"] != 7.0 {
		t.Errorf("record %+v", all[0])
	}
	if all[1].Level != zap.InfoLevel || all[1].Message != `{"no":"message"}` {
		t.Errorf("foreign JSON %+v", all[1])
	}
	if len(all[2].Message) != maxLogLine || all[2].ContextMap()["cut"] != true || all[3].Message != "after the long line" {
		t.Errorf("long line: %d octets, cut %v, then %q", len(all[2].Message), all[2].ContextMap()["cut"], all[3].Message)
	}
	if all[4].Message != "one ERROR forged  [2J" || all[5].Message != "bell   and  [31m" {
		t.Errorf("control characters reach the log: %q, %q", all[4].Message, all[5].Message)
	}
	if all[6].Level != zap.ErrorLevel || pump.lastWords() != "panic: no end of line" {
		t.Errorf("panic %+v, last words %q", all[6], pump.lastWords())
	}
}

func TestQuantilesAreRightWithinAFifth(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	h.add(-time.Second)
	h.add(1000 * 24 * time.Hour)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond} {
		if got := h.quantile(q); got < want || got > want*5/4 {
			t.Errorf("quantile %v is %v, want %v and at most a quarter more", q, got, want)
		}
	}
}
