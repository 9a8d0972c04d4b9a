package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/conformance/kit"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Exit statuses; exitHelp tells them.
const (
	exitFailed = 1
	exitUsage  = 2
	exitStart  = 3
)

const exitHelp = `Exit status:
  0  no check failed
  1  a check failed
  2  the command line is wrong
  3  the plugin could not be started, or does not provide what is to be judged`

// judgeOptions are the flags of the commands that judge a plugin.
type judgeOptions struct {
	launch    launchOptions
	service   string
	output    string
	limit     time.Duration
	knownPeer string // cred: the FQDN for whom the store has a pre-shared key
	keyFile   string // cred: that key
	keys      keyOptions
}

// suite judges one service of a plugin: it runs checks and tells each result.
type suite func(ctx context.Context, o *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error

// judgeCommand is "parley-conform KIND --plugin FILE".
func judgeCommand(kind, what, more string, judge suite) *cobra.Command {
	o := judgeOptions{}
	cmd := &cobra.Command{
		Use:   kind + " --plugin FILE [flags] [-- ARGUMENT...]",
		Short: "Judge " + what,
		Long: "Starts a plugin as parleyd does (a sealed copy of the file, its handshake, no environment, only the privileges named, calls over a socket pair), " +
			"runs the conformance suite of " + what + " against it, and tells what passed, failed, or was skipped because the plugin does not claim it. " +
			"Arguments after -- are the plugin's." + more + "\n\n" + exitHelp,
		Example: "  parley-conform " + kind + " --plugin /usr/lib/acme/plugin --config acme.json\n  parley-conform " + kind + " --plugin bin/parley-plugin -o json -- " + exampleOf[kind],
		RunE: func(cmd *cobra.Command, arguments []string) error {
			o.launch.kind, o.launch.args = kind, arguments
			return o.run(cmd, judge)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.launch.path, "plugin", "", "the plugin's `FILE`")
	f.StringVar(&o.launch.config, "config", "", "`FILE` with the configuration of the service, in JSON")
	f.StringSliceVar(&o.launch.kinds, "kinds", []string{kind}, "all kinds that the plugin provides, as in its plugin block")
	f.StringSliceVar(&o.launch.privileges, "privileges", nil, "privileges of the plugin, such as net_admin, as in its plugin block")
	f.StringVar(&o.service, "service", "", "the service to judge, by its name (default: every one of the kind)")
	f.StringVarP(&o.output, "output", "o", "table", "table or json")
	f.DurationVar(&o.limit, "timeout", 30*time.Second, "how long the start, and each check, may take")
	if kind == "cred" {
		f.StringVar(&o.knownPeer, "peer", "", "`FQDN` of a peer for whom the store has a pre-shared key")
		f.StringVar(&o.keyFile, "key", "", "`FILE` with that key, to prove that derivations are right")
		o.keys.register(f, cmd)
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("kinds", cobra.FixedCompletions([]string{"auth", "cred", "ke", "sa"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("privileges", cobra.FixedCompletions([]string{"net_admin", "net_raw"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("service", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	return cmd
}

var exampleOf = map[string]string{"sa": "sa:memory", "ke": "ke:curve", "auth": "auth:psk", "cred": "cred:file"}

func (o *judgeOptions) check() error {
	switch {
	case o.launch.path == "":
		return usageError{errors.New("--plugin FILE is missing: name the plugin to judge")}
	case o.output != "table" && o.output != "json":
		return usageError{fmt.Errorf("unknown output %q: use table or json", o.output)}
	case o.limit <= 0:
		return usageError{fmt.Errorf("--timeout %v is not positive", o.limit)}
	}
	if o.launch.kind == "cred" {
		if err := o.keys.check(o.knownPeer); err != nil {
			return err
		}
	}
	o.launch.limit = o.limit
	return nil
}

// run judges every service that was asked for.
func (o *judgeOptions) run(cmd *cobra.Command, judge suite) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := launch(cmd.Context(), o.launch)
	if err != nil {
		return startError{err}
	}
	defer s.close()
	var services []*basev1.Provided
	for _, p := range s.process.Manifest.GetProvides() {
		if p.GetKind() == o.launch.kind && (o.service == "" || p.GetName() == o.service) {
			services = append(services, p)
		}
	}
	if len(services) == 0 {
		return startError{fmt.Errorf("%s does not provide %s %q: \"%s describe\" tells what it provides", o.launch.path, o.launch.kind, o.service, o.launch.path)}
	}
	r := report{Plugin: o.launch.path, Name: s.process.Manifest.GetName(), Version: s.process.Manifest.GetVersion(), colour: onTerminal()}
	for _, p := range services {
		sheet := &sheet{Kind: o.launch.kind, Service: p.GetName()}
		r.Services = append(r.Services, sheet)
		if err := judge(cmd.Context(), o, s, p, sheet.add); err != nil {
			return startError{err}
		}
	}
	if err := r.write(cmd.OutOrStdout(), o.output); err != nil {
		return err
	}
	if r.failed() > 0 {
		return failedError{}
	}
	return nil
}

type (
	usageError  struct{ error }
	startError  struct{ error }
	failedError struct{} // told already
)

func (failedError) Error() string { return "a check failed" }

// exitStatus maps an error to the exit status.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, new(startError)):
		return exitStart
	}
	return exitFailed
}

// tellError prints what was not told already.
func tellError(err error) {
	if err != nil && !errors.As(err, new(failedError)) {
		fmt.Fprintln(os.Stderr, "parley-conform:", err)
	}
}
