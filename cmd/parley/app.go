package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/core/control"
)

// Exit statuses; exitHelp tells them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNotFound    = 4
	exitTimeout     = 5
	exitPermission  = 6
)

const exitHelp = `Exit status:
  0  done
  1  the operation failed; for up: the connection is not up
  2  the command line is wrong
  3  the daemon cannot be reached
  4  there is no such connection, child or SA
  5  it took longer than --timeout
  6  not permitted`

const (
	defaultSocket = "/run/parley/control.sock"
	// defaultTimeout bounds what answers at once.
	defaultTimeout = 15 * time.Second
)

// app is one run of the command.
type app struct {
	in          io.Reader
	out, err    io.Writer
	now         func() time.Time
	colour      bool // the output shows colours
	interactive bool // somebody sits there

	socket    string
	output    string
	noHeaders bool
	timeout   time.Duration
}

// errors with an exit status of their own.
type (
	usageError  struct{ error }
	failedError struct{} // told already
	statusError struct {
		error
		status int
	}
)

func (failedError) Error() string { return "failed" }

// run executes a command line and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	code := exitStatus(ctx, err)
	if err != nil && code != exitOK && !errors.As(err, new(failedError)) {
		fmt.Fprintln(a.err, "parley: "+text(err))
		if code == exitUsage {
			fmt.Fprintln(a.err, "see parley --help")
		}
	}
	return code
}

// exitStatus maps an error to the exit status. Interrupting what waits or follows is no failure of ours to explain.
func exitStatus(ctx context.Context, err error) int {
	var unreachable *control.UnreachableError
	var own statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, &own):
		return own.status
	case errors.As(err, new(failedError)):
		return exitFailed
	case errors.As(err, &unreachable) && errors.Is(unreachable, fs.ErrPermission):
		return exitPermission
	case errors.As(err, &unreachable):
		return exitUnreachable
	case ctx.Err() != nil:
		return exitFailed
	}
	return rpcStatus(err)
}

func rpcStatus(err error) int {
	switch status.Code(err) {
	case codes.NotFound:
		return exitNotFound
	case codes.DeadlineExceeded:
		return exitTimeout
	case codes.PermissionDenied:
		return exitPermission
	case codes.InvalidArgument:
		return exitUsage
	case codes.Unavailable:
		return exitUnreachable
	}
	return exitFailed
}

// text is what a person is told of an error.
func text(err error) string {
	s, ok := status.FromError(err)
	switch {
	case !ok:
		return err.Error()
	case s.Code() == codes.DeadlineExceeded:
		return "the daemon did not answer in time: see --timeout"
	}
	return s.Message()
}

// connect dials the daemon and runs f.
func (a *app) connect(ctx context.Context, f func(ctx context.Context, c *control.Client) error) error {
	c, err := control.Dial(a.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}

// ask does so with a time limit, for what answers at once.
func (a *app) ask(ctx context.Context, f func(ctx context.Context, c *control.Client) error) error {
	wait := a.timeout
	if wait == 0 {
		wait = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return a.connect(ctx, f)
}

// socketOf returns the default socket.
func socketOf() string {
	if s := os.Getenv("PARLEY_SOCKET"); s != "" {
		return s
	}
	return defaultSocket
}

// args checks the number of arguments; names says what they are.
func args(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		switch {
		case len(given) < least:
			return usageError{fmt.Errorf("%s needs %s", cmd.CommandPath(), names)}
		case len(given) > most:
			return usageError{fmt.Errorf("%s: %q is one argument too many", cmd.CommandPath(), given[most])}
		}
		return nil
	}
}
