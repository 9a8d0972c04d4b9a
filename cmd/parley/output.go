package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/parley-ike/parley/core/control"
)

func (a *app) json() bool { return a.output == "json" }
func (a *app) wide() bool { return a.output == "wide" }

// writeJSON writes a message of the control API in the protobuf JSON mapping, with the names of the .proto file and with
// everything that is zero.
func (a *app) writeJSON(m proto.Message) error {
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var compact, out bytes.Buffer // protojson varies its white space on purpose
	if err := json.Compact(&compact, b); err != nil {
		return err
	}
	if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = a.out.Write(out.Bytes())
	return err
}

// table writes rows in columns. tone colours a cell; nil leaves all as it is.
func (a *app) table(header []string, rows [][]string, tone func(row, column int) control.Tone) error {
	t := control.Table{Header: header, Rows: rows}
	if a.noHeaders {
		t.Header = nil
	}
	t.Paint = func(row, column int, cell string) string {
		switch {
		case row < 0:
			return a.paint(control.Heading, cell)
		case tone == nil:
			return cell
		}
		return a.paint(tone(row, column), cell)
	}
	_, err := io.WriteString(a.out, t.Lines())
	return err
}

// codes are the colours of the eight that every terminal has.
var codes8 = map[control.Tone]string{control.Headline: "1", control.Heading: "1;36", control.Good: "32", control.Bad: "31", control.Faint: "2"}

func (a *app) paint(tone control.Tone, s string) string {
	code, ok := codes8[tone]
	if !a.colour || !ok {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// age tells how long ago something was, "-" when it was not.
func (a *app) age(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return duration(a.now().Sub(t.AsTime()))
}

// duration shows two units: "2m3s", "5h7m", "3d4h".
func duration(d time.Duration) string {
	d = max(d, 0)
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// microseconds shows a latency.
func microseconds(us uint32) string {
	switch {
	case us == 0:
		return "-"
	case us < 1000:
		return fmt.Sprintf("%d µs", us)
	case us < 1_000_000:
		return fmt.Sprintf("%.1f ms", float64(us)/1000)
	}
	return fmt.Sprintf("%.1f s", float64(us)/1e6)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
