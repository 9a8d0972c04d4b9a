// Command parley-conform shows and judges: the demonstration, the conformance of plugins, and the packages of real peers that the tests
// run against.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/cmd/internal/manual"
	"github.com/parley-ike/parley/conformance/demo"
	"github.com/parley-ike/parley/conformance/interop/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	tellError(err)
	stop()
	os.Exit(exitStatus(err))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "parley-conform", Short: "Shows and judges Parley and its plugins", SilenceUsage: true, SilenceErrors: true,
		Long: "parley-conform shows Parley at work and judges plugins: whether they keep the contract of their kind.\n\n" + exitHelp,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(demoCommand(), packagesCommand(), manual.Command(cobra.ExactArgs(1)),
		judgeCommand("sa", "an SA backend", " An SA backend that works on the machine's own IPsec needs --privileges net_admin, root, and best a network namespace of its own.", judgeSA),
		judgeCommand("ke", "a key exchange plugin", " Two processes run, so that one finishes what the other began.", judgeKE),
		judgeCommand("auth", "an authenticator", " It is given pre-shared keys.", judgeAuth),
		judgeCommand("cred", "a credential store", " Its configuration must hold a pre-shared key for the peer that --peer names, private keys for those that --signs and --decrypts name, or the authority of --ca.", judgeCred))
	return root
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Bring up two gateways and a tunnel in network namespaces, and show what happens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return inUserNamespace(cmd.Context())
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Config{Bin: filepath.Dir(self), Out: os.Stdout, Colour: onTerminal()})
		},
	}
}

// inUserNamespace runs the same command again as root of a user namespace of its own.
func inUserNamespace(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // it has said why
	}
	if err != nil {
		return fmt.Errorf("the demonstration makes network namespaces; run it as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0): %w", err)
	}
	return nil
}

func onTerminal() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}

func packagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "packages",
		Short: "Unpack the Debian packages of real peers into the cache (PARLEY_CACHE); nothing is installed",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, p := range lab.Peers {
				root, err := lab.Unpack(p, os.Stdout)
				if errors.Is(err, lab.ErrNoPackages) {
					fmt.Printf("WARNING: %s is not to be had, tests with it will be skipped: %v\n", p.Name, err)
					continue
				}
				if err != nil {
					return err
				}
				fmt.Printf("%s is in %s\n", p.Name, root)
			}
			return nil
		},
	}
}
