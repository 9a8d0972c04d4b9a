package kit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Check is one promise of a contract, looked at through the value S that its suite works on. It is fulfilled when Run
// returns nil.
type Check[S any] struct {
	Name string // a sentence
	Rule string // the contract or RFC and section that asks for it
	Run  func(ctx context.Context, subject S) error
}

// CheckTime bounds one check: the slowest, key exchanges of 8192 bits on a busy machine, takes seconds.
const CheckTime = 2 * time.Minute

// Concurrency is how many calls a check for concurrent use has in flight: more than the processors of any test machine.
const Concurrency = 16

func run[S any](t *testing.T, checks []Check[S], subject S) {
	t.Helper()
	for _, check := range checks {
		t.Run(check.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), CheckTime)
			defer cancel()
			if err := check.Run(ctx, subject); err != nil {
				t.Errorf("%s: %v", check.Rule, err)
			}
		})
	}
}

// wantError says what is wrong with got where an error of a kind is due.
func wantError(what string, got, want error) error {
	switch {
	case got == nil:
		return fmt.Errorf("%s: accepted, want an error that wraps %q", what, want)
	case !errors.Is(got, want):
		return fmt.Errorf("%s: error %q does not wrap %q", what, got, want)
	}
	return nil
}

// wantCanceled accepts any error: carriers between processes have their own for a cancelled call.
func wantCanceled(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s: performed although its context had ended", what)
	}
	return nil
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// together runs f Concurrency times at once and joins what goes wrong.
func together(f func(n int) error) error {
	problems := make([]error, Concurrency)
	var all sync.WaitGroup
	for n := range Concurrency {
		all.Go(func() { problems[n] = f(n) })
	}
	all.Wait()
	return errors.Join(problems...)
}
