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
// returns nil, and does not apply when Run returns what Skip makes.
type Check[S any] struct {
	Name string // a sentence
	Rule string // the contract or RFC and section that asks for it
	Run  func(ctx context.Context, subject S) error
}

// CheckTime bounds one check: the slowest, key exchanges of 8192 bits on a busy machine, takes seconds.
const CheckTime = 2 * time.Minute

// Concurrency is how many calls a check for concurrent use has in flight: more than the processors of any test machine.
const Concurrency = 16

// skip is the error of a check that does not apply.
type skip struct{ reason string }

func (s skip) Error() string { return s.reason }

// Skip says why a check does not apply to an implementation: which capability it does not claim.
func Skip(format string, args ...any) error { return skip{fmt.Sprintf(format, args...)} }

// Verdict is what became of a check.
type Verdict string

// Verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Result is the outcome of one check.
type Result struct {
	Name, Rule string
	Verdict    Verdict
	Detail     string // what is wrong, or why the check does not apply; "" when it passed
	Took       time.Duration
}

// Judge runs one check within a time limit; a panic of the implementation is a failure.
func (c Check[S]) Judge(ctx context.Context, subject S, limit time.Duration) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r = Result{Name: c.Name, Rule: c.Rule, Verdict: Passed}
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	defer func() {
		if p := recover(); p != nil {
			r.Verdict, r.Detail = Failed, fmt.Sprintf("panic: %v", p)
		}
	}()
	var not skip
	switch err := c.Run(ctx, subject); {
	case errors.As(err, &not):
		r.Verdict, r.Detail = Skipped, not.reason
	case err != nil:
		r.Verdict, r.Detail = Failed, err.Error()
	}
	return r
}

// Run runs all checks as subtests. What does not apply is skipped with its reason.
func Run[S any](t *testing.T, checks []Check[S], subject S) {
	t.Helper()
	for _, check := range checks {
		t.Run(check.Name, func(t *testing.T) {
			switch r := check.Judge(t.Context(), subject, CheckTime); r.Verdict {
			case Failed:
				t.Errorf("%s: %s", r.Rule, r.Detail)
			case Skipped:
				t.Skipf("SKIPPED, not claimed: %s", r.Detail)
			}
		})
	}
}

// WantError says what is wrong with got where an error of a kind is due.
func WantError(what string, got, want error) error {
	switch {
	case got == nil:
		return fmt.Errorf("%s: accepted, want an error that wraps %q", what, want)
	case !errors.Is(got, want):
		return fmt.Errorf("%s: error %q does not wrap %q", what, got, want)
	}
	return nil
}

// WantCanceled accepts any error: carriers between processes have their own for a cancelled call.
func WantCanceled(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s: performed although its context had ended", what)
	}
	return nil
}

// Canceled returns a context that has ended already.
func Canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// Together runs f Concurrency times at once and joins what goes wrong.
func Together(f func(n int) error) error {
	problems := make([]error, Concurrency)
	var all sync.WaitGroup
	for n := range Concurrency {
		all.Go(func() { problems[n] = f(n) })
	}
	all.Wait()
	return errors.Join(problems...)
}
