// Command parleyd is the IKE daemon.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/daemon"
)

const defaultConfig = "/etc/parley/parley.hcl"

const exitHelp = `

Exit status:
  0  ended in order; for check: the configuration is good
  1  could not start, or ended by an error
  2  the configuration or the command line is wrong`

// Exit statuses.
const (
	exitError = 1
	exitUsage = 2
)

func main() {
	harden()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	var wrong config.Diagnostics
	var usage usageError
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, wrong)
		os.Exit(exitUsage)
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "parleyd:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "parleyd:", strings.TrimPrefix(err.Error(), "parleyd: "))
		os.Exit(exitError)
	}
}

type usageError struct{ error }

// unknown permits no arguments: they would be commands.
func unknown(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{fmt.Errorf("%w; see parleyd --help", err)}
	}
	return nil
}

// atMost permits so many arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("%s: %q is one argument too many; see %[1]s --help", cmd.CommandPath(), args[n])}
		}
		return nil
	}
}

func command() *cobra.Command {
	var o daemon.Options
	var logFormat, logLevel string
	root := &cobra.Command{
		Use:   "parleyd",
		Short: "The Parley IKE daemon",
		Long: "parleyd negotiates IPsec tunnels by IKEv2. Authentication, key exchange, credentials and SA backends are plugins, which\n" +
			"it starts as processes of their own. Control it with parley. SIGHUP has it read its configuration again and apply what\n" +
			"differs, as parley reload does; SIGTERM and SIGINT end it in order." + exitHelp,
		Args: unknown, SilenceUsage: true, SilenceErrors: true, Version: daemon.Version,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog(o, logFormat, logLevel)
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			o.Log, o.Reload = log, hangups()
			return daemon.Run(cmd.Context(), o)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	all := root.PersistentFlags()
	all.StringVarP(&o.Config, "config", "c", defaultConfig, "configuration `FILE`")
	flags := root.Flags()
	flags.StringVar(&o.Name, "name", "", "`NAME` of this node in events (default: as configured, else the host name)")
	flags.StringVar(&o.Socket, "socket", "", "`PATH` of the control socket (default: as configured, else control.sock in the runtime folder)")
	flags.StringVar(&o.StateDir, "state-dir", "", "`DIR` for what outlives a restart of the machine (default: as configured)")
	flags.StringVar(&o.RuntimeDir, "runtime-dir", "", "`DIR` for sockets and what outlives a restart of the daemon (default: as configured)")
	flags.StringVar(&o.Journal, "journal", "", "record every SA into `DIR`, WITH ITS KEYS, for parley replay")
	flags.StringVar(&o.ExportKeys, "export-keys", "", "append the KEYS of every IKE SA to `FILE`, for Wireshark and tshark: whoever has them reads its messages")
	flags.StringVar(&o.PluginPath, "plugin-binary", "", "`FILE` that serves the first-party plugins (default: parley-plugin beside parleyd)")
	flags.StringVar(&logFormat, "log-format", "auto", "console, json, or auto: console on a terminal")
	flags.StringVar(&logLevel, "log-level", "", "debug, info, warn or error (default: as configured)")
	root.AddCommand(checkCommand(&o))
	return root
}

// hangups returns what tells of SIGHUP. One that is pending stands for all that come meanwhile.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// checkCommand validates a configuration.
func checkCommand(o *daemon.Options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Check a configuration and change nothing", Args: atMost(1),
		Long: "Checks a configuration, the permissions of the key files that it names included, and prints every mistake with its\nfile, line and remedy." + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Config = args[0]
			}
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("unknown output %q: use text or json", output)}
			}
			s, err := o.Load()
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), s, err)
			}
			if err != nil {
				return err
			}
			for _, w := range s.Warnings {
				fmt.Fprintln(cmd.OutOrStdout(), "warning:", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %d connections, %d keys\n", o.Config, len(s.Policy.Connections), len(s.Credentials)+len(s.Keys.Own))
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// printJSON prints the verdict for programs; the error makes the exit status and is printed already.
func printJSON(out io.Writer, s *config.Snapshot, err error) error {
	var wrong config.Diagnostics
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	verdict := struct {
		OK       bool               `json:"ok"`
		Errors   config.Diagnostics `json:"errors"`
		Warnings config.Diagnostics `json:"warnings"`
	}{OK: err == nil, Errors: wrong}
	if s != nil {
		verdict.Warnings = s.Warnings
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if encErr := enc.Encode(verdict); encErr != nil {
		return encErr
	}
	if err != nil {
		os.Exit(exitUsage)
	}
	return nil
}

// newLog makes the log on standard error. The level of the configuration counts unless the command line has one.
func newLog(o daemon.Options, format, level string) (*zap.Logger, error) {
	if level == "" {
		level = "info"
		if s, err := o.Load(); err == nil {
			level = s.Daemon.LogLevel
		}
	}
	if format != "auto" && format != "json" && format != "console" {
		return nil, usageError{fmt.Errorf("unknown log format %q: use console, json or auto", format)}
	}
	c := zap.NewProductionConfig()
	c.Sampling = nil
	if format == "console" || format == "auto" && onTerminal() {
		c = zap.NewDevelopmentConfig()
		c.Development = false
	}
	c.DisableCaller, c.DisableStacktrace = true, true
	var err error
	if c.Level, err = zap.ParseAtomicLevel(level); err != nil {
		return nil, usageError{fmt.Errorf("unknown log level %q: use debug, info, warn or error", level)}
	}
	return c.Build()
}

func onTerminal() bool {
	info, err := os.Stderr.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
