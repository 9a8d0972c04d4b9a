package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func (a *app) replayCommand() *cobra.Command {
	var step bool
	cmd := &cobra.Command{
		Use: "replay FILE", Short: "Step through a recorded SA", Args: args(1, 1, "a journal, which parleyd writes with --journal DIR"),
		Long: "replay gives the recorded inputs to a new machine and shows each input, its effects and the state after it; it says when the\n" +
			"effects are not those that were recorded. Secrets are shown as [redacted]; the file itself holds them: delete it when\n" +
			"it has served. No daemon is needed.\n\n" + exitHelp,
		RunE: func(_ *cobra.Command, given []string) error { return a.replay(given[0], step && a.interactive) },
	}
	cmd.Flags().BoolVar(&step, "step", false, "wait for the enter key after each step, on a terminal")
	return cmd
}

func (a *app) replay(path string, pause bool) error {
	j, err := journal.Read(path)
	if err != nil {
		return err
	}
	defer j.Close()
	if !a.json() {
		a.replayHeader(path, j.Header)
	}
	keys := bufio.NewReader(a.in)
	state, last := "", j.Header.Created
	for step, err := range engine.Replay(j, engine.Rebuild) {
		if err != nil {
			return replayError(step, err)
		}
		if a.json() {
			if err := a.encode(stepJSON(step)); err != nil {
				return err
			}
			continue
		}
		a.showStep(step, state, last)
		state, last = step.Info.State, step.Time
		if pause && !a.goOn(keys) {
			return nil
		}
	}
	return nil
}

func replayError(step engine.Replayed, err error) error {
	if errors.Is(err, engine.ErrDiverged) {
		return fmt.Errorf("step %d: %w", step.Number, err)
	}
	return err
}

func (a *app) replayHeader(path string, h journal.Header) {
	role := "responder"
	if h.Initiator {
		role = "initiator"
	}
	a.printf("%s\n  IKEv%d %s", a.paint(control.Headline, path), h.Version, role)
	if h.Conn != "" {
		a.printf(" of %s", h.Conn)
	}
	a.printf(", SPI %016x, %v to %v, begun %s\n", h.SPI, h.Local, h.Remote, h.Created.UTC().Format(time.RFC3339))
}

// showStep shows an input, its effects and the state. before is the state before, last the time of the step before.
func (a *app) showStep(s engine.Replayed, before string, last time.Time) {
	a.printf("\n%s %s  %s\n", a.paint(control.Heading, fmt.Sprintf("#%d", s.Number)),
		a.paint(control.Faint, fmt.Sprintf("%+.6f s", s.Time.Sub(last).Seconds())), input(s.Input))
	for _, fx := range s.Effects {
		a.printf("   %s\n", effect(fx))
	}
	change := orDash(s.Info.State)
	if before != "" && before != s.Info.State {
		change = before + " -> " + change
	}
	a.printf("   %s\n", a.paint(control.Good, "state: "+change))
}

// input shows messages by their headers and all else as the engine does.
func input(in machine.Input) string {
	if d, ok := in.(machine.Datagram); ok {
		return fmt.Sprintf("receive %v -> %v: %s", d.Remote, d.Local, message(d.Bytes))
	}
	return engine.RenderInput(in)
}

// effect does so, and shows events by their sentence.
func effect(fx machine.Effect) string {
	switch fx := fx.(type) {
	case machine.Emit:
		return fmt.Sprintf("tell %s: %s", fx.Event.Kind().Name, control.Sentence(fx.Event))
	case machine.Send:
		return fmt.Sprintf("send %v -> %v: %s", fx.Local, fx.Remote, message(fx.Bytes))
	}
	return engine.RenderEffect(fx)
}

// message names an IKE message: "IKE_AUTH request 1, 240 octets".
func message(b []byte) string {
	h, err := wire.ParseHeader(b)
	if err != nil {
		return fmt.Sprintf("%d octets, no IKE message", len(b))
	}
	kind := "request"
	if h.Flags&wire.FlagResponse != 0 {
		kind = "response"
	}
	return fmt.Sprintf("%s %s %d, SPIs %016x %016x, %d octets", wire2.ExchangeName(h.Exchange), kind, h.MessageID, h.InitiatorSPI, h.ResponderSPI, len(b))
}

// goOn asks whether to show the next step.
func (a *app) goOn(keys *bufio.Reader) bool {
	a.printf("%s", a.paint(control.Faint, "   enter: next, q: quit "))
	line, err := keys.ReadString('\n')
	return err == nil && !strings.HasPrefix(strings.TrimSpace(line), "q")
}

// replayStep is a step in JSON, one in a line.
type replayStep struct {
	Number  int       `json:"number"`
	Time    time.Time `json:"time"`
	SPI     string    `json:"spi"`
	Input   string    `json:"input"`
	Effects []string  `json:"effects"`
	State   string    `json:"state"`
}

func stepJSON(s engine.Replayed) replayStep {
	out := replayStep{Number: s.Number, Time: s.Time.UTC(), SPI: fmt.Sprintf("%016x", uint64(s.Owner)), Input: input(s.Input), Effects: []string{}, State: s.Info.State}
	for _, fx := range s.Effects {
		out.Effects = append(out.Effects, effect(fx))
	}
	return out
}

// encode writes one value of JSON in a line.
func (a *app) encode(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
