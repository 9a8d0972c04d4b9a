package config

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// file is one source file. The parser sees another text than the operator wrote (see expand); positions are the operator's.
type file struct {
	name string // as errors show it
	dir  string // what relative paths in it are relative to
	src  []byte
	cuts []int // offsets in the parsed text of the line feeds that expand put in, ascending
}

// parse returns the file's body, which is never nil, and the parser's complaints.
func (f *file) parse() (*hclsyntax.Body, hcl.Diagnostics) {
	text, cuts := expand(f.src)
	f.cuts = cuts
	parsed, diags := hclsyntax.ParseConfig(text, f.name, hcl.InitialPos)
	if parsed != nil {
		if body, ok := parsed.Body.(*hclsyntax.Body); ok && body != nil {
			return body, diags
		}
	}
	return &hclsyntax.Body{}, diags
}

// position returns line and column, from 1, of an offset in the parsed text, and the line.
func (f *file) position(parsed int) (line, column int, text string) {
	added, _ := slices.BinarySearch(f.cuts, parsed)
	at := min(max(parsed-added, 0), len(f.src))
	start := bytes.LastIndexByte(f.src[:at], '\n') + 1
	end := len(f.src)
	if i := bytes.IndexByte(f.src[at:], '\n'); i >= 0 {
		end = at + i
	}
	return bytes.Count(f.src[:start], []byte{'\n'}) + 1, at - start + 1, string(f.src[start:end])
}

func (f *file) diagnostic(at hcl.Range, message string) Diagnostic {
	line, column, text := f.position(at.Start.Byte)
	return Diagnostic{File: f.name, Line: line, Column: column, Message: message, Source: quotable(text)}
}

// where returns "file:line".
func (f *file) where(at hcl.Range) string {
	line, _, _ := f.position(at.Start.Byte)
	return fmt.Sprintf("%s:%d", f.name, line)
}
