package demo

import (
	"fmt"
	"io"
	"strings"
)

type printer struct {
	out    io.Writer
	colour bool
}

const (
	bold  = "1"
	green = "32"
	cyan  = "36"
	dim   = "2"
)

func (p printer) paint(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p printer) print(text string) { fmt.Fprint(p.out, text) }

func (p printer) title(text string) { p.print("\n" + p.paint(bold, text) + "\n") }

func (p printer) say(word, format string, args ...any) {
	p.print("  " + p.paint(green, word) + "  " + fmt.Sprintf(format, args...) + "\n")
}

func (p printer) command(name string, args ...string) {
	p.print("  " + p.paint(cyan, "$ "+name+" "+strings.Join(args, " ")) + "\n")
}

func (p printer) block(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		p.print("  " + p.paint(dim, "|") + " " + line)
	}
}
