package control

import (
	"strings"
	"unicode/utf8"
)

// Table aligns rows in columns that are no wider than needed. The last column is not padded.
type Table struct {
	Indent string
	Header []string // nil: none
	Rows   [][]string
	// Wrap is the width in characters above which a cell goes on in the next line, after a space; 0: never.
	Wrap int
	// Paint colours a padded cell; row is -1 for the header. nil leaves it as it is.
	Paint func(row, column int, cell string) string
}

// Lines returns the table, one line feed at the end of each line.
func (t Table) Lines() string {
	widths := t.widths()
	var b strings.Builder
	if t.Header != nil {
		t.line(&b, -1, t.Header, widths)
	}
	for i, row := range t.Rows {
		for _, part := range t.split(row) {
			t.line(&b, i, part, widths)
		}
	}
	return b.String()
}

func (t Table) widths() []int {
	var widths []int
	measure := func(row []string) {
		for c, cell := range row {
			if c == len(widths) {
				widths = append(widths, 0)
			}
			widths[c] = max(widths[c], utf8.RuneCountInString(cell))
		}
	}
	measure(t.Header)
	for _, row := range t.Rows {
		for _, part := range t.split(row) {
			measure(part)
		}
	}
	return widths
}

// split breaks a row whose cells are too wide into several.
func (t Table) split(row []string) [][]string {
	parts := [][]string{make([]string, len(row))}
	for c, cell := range row {
		for i, piece := range wrap(cell, t.Wrap) {
			if i == len(parts) {
				parts = append(parts, make([]string, len(row)))
			}
			parts[i][c] = piece
		}
	}
	return parts
}

// wrap breaks text after spaces so that no piece is longer than width, unless a single word is.
func wrap(s string, width int) []string {
	if width == 0 || utf8.RuneCountInString(s) <= width {
		return []string{s}
	}
	var pieces []string
	current := ""
	for _, word := range strings.Fields(s) {
		switch {
		case current == "":
			current = word
		case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) <= width:
			current += " " + word
		default:
			pieces, current = append(pieces, current), word
		}
	}
	return append(pieces, current)
}

const gap = "  "

func (t Table) line(b *strings.Builder, row int, cells []string, widths []int) {
	last := len(cells) - 1
	for last > 0 && cells[last] == "" {
		last--
	}
	b.WriteString(t.Indent)
	for c, cell := range cells[:last+1] {
		text := cell
		if c < last {
			text += strings.Repeat(" ", widths[c]-utf8.RuneCountInString(cell)) + gap
		}
		if t.Paint != nil {
			text = t.Paint(row, c, text)
		}
		b.WriteString(text)
	}
	b.WriteByte('\n')
}
