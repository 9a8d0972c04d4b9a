// Package manual writes manual pages of cobra commands.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is the hidden command that writes the pages of a program into a folder; args demands that its one argument is there.
func Command(args cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into a folder", Hidden: true, Args: args,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := os.MkdirAll(given[0], 0o755); err != nil {
				return err
			}
			return write(cmd.Root(), given[0])
		},
	}
}

// write writes a page for a command and for each below it: parley.1, parley-sa-list.1.
func write(cmd *cobra.Command, dir string) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(page(cmd)), 0o644); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			if err := write(c, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// page is in the man macros.
func page(cmd *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"Parley\" \"Parley manual\"\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(name)), roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	about, status, _ := strings.Cut(cmd.Long, "\n\n"+"Exit status:\n")
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(about))
	options(&b, "OPTIONS", cmd.NonInheritedFlags())
	options(&b, "GLOBAL OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	if status != "" {
		b.WriteString(".SH EXIT STATUS\n")
		for line := range strings.SplitSeq(status, "\n") {
			code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(code), roff(strings.TrimSpace(meaning)))
		}
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(related(cmd), ",\n"))
	return b.String()
}

func options(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		kind, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(short+"--"+f.Name+" "+kind)), roff(usage))
	})
}

func related(cmd *cobra.Command) (pages []string) {
	if cmd.HasParent() {
		pages = append(pages, reference(cmd.Parent()))
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			pages = append(pages, reference(c))
		}
	}
	return append(pages, ".BR parleyd (1)")
}

func reference(cmd *cobra.Command) string {
	return ".BR " + roff(strings.ReplaceAll(cmd.CommandPath(), " ", "-")) + " (1)"
}

// roff escapes text: backslashes, hyphens that are to be copied, and what begins a line as a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
