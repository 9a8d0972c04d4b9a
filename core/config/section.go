package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// section is one block, or a whole file, in the hands of the function that reads it. Asking for a setting or a block makes
// its name known; finish reports what is there and was not asked for.
type section struct {
	*loader
	file   *file
	title  string // for errors: `connection "west", local`
	key    string // for Where: "connection.west.local"
	label  string
	body   *hclsyntax.Body
	at     hcl.Range // of the block's header
	attrs  map[string]bool
	blocks map[string]bool
}

func (l *loader) newSection(f *file, body *hclsyntax.Body) *section {
	return &section{loader: l, file: f, body: body, attrs: map[string]bool{}, blocks: map[string]bool{}}
}

// fail reports a mistake in this section.
func (s *section) fail(at hcl.Range, format string, args ...any) {
	s.diagnostics = append(s.diagnostics, s.message(at, format, args...))
}

// warn reports what is allowed and should be known.
func (s *section) warn(at hcl.Range, format string, args ...any) {
	s.snapshot.Warnings = append(s.snapshot.Warnings, s.message(at, format, args...))
}

func (s *section) message(at hcl.Range, format string, args ...any) Diagnostic {
	text := fmt.Sprintf(format, args...)
	if s.title != "" {
		text = s.title + ": " + text
	}
	return s.file.diagnostic(at, text)
}

func (s *section) path(name string) string {
	if s.key == "" {
		return name
	}
	return s.key + "." + name
}

// attr returns the value of a setting; ok is false when it is not set or cannot be evaluated, which is then reported.
func (s *section) attr(name string) (attr *hclsyntax.Attribute, value cty.Value, ok bool) {
	s.attrs[name] = true
	attr, ok = s.body.Attributes[name]
	if !ok {
		return nil, cty.NilVal, false
	}
	s.snapshot.where[s.path(name)] = s.file.where(attr.SrcRange)
	value, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		s.parserErrors(s.file, diags)
		return attr, value, false
	}
	if value.IsNull() || !value.IsWhollyKnown() {
		s.fail(attr.SrcRange, "%s has no value: give it one or leave it out", name)
		return attr, value, false
	}
	return attr, value, true
}

// valueAt is where a setting's value stands, or where it could be added.
func (s *section) valueAt(name string) hcl.Range {
	if a, ok := s.body.Attributes[name]; ok {
		return a.Expr.Range()
	}
	return s.at
}

// has reports whether a setting is there, valid or not.
func (s *section) has(name string) bool {
	_, ok := s.body.Attributes[name]
	return ok
}

// sub returns the blocks of a type that has no label.
func (s *section) sub(name string) []*section { return s.subBlocks(name, false) }

// named returns the blocks of a type that has one label.
func (s *section) named(name string) []*section { return s.subBlocks(name, true) }

// only returns the one block of a type, nil when there is none.
func (s *section) only(name string) *section { return single(s.sub(name)) }

// single returns the first of blocks of which there may be one, and reports further ones.
func single(all []*section) *section {
	if len(all) == 0 {
		return nil
	}
	first := all[0]
	for _, more := range all[1:] {
		more.fail(more.at, "it is there twice, first in %s: make one of them", first.file.where(first.at))
	}
	return first
}

func (s *section) subBlocks(name string, labelled bool) (all []*section) {
	s.blocks[name] = true
	for _, b := range s.body.Blocks {
		if b.Type != name {
			continue
		}
		sub := s.newSection(s.file, b.Body)
		sub.at, sub.title, sub.key = b.DefRange(), name, s.path(name)
		if labelled && len(b.Labels) == 1 {
			sub.label = b.Labels[0]
			sub.title = fmt.Sprintf("%s %q", name, sub.label)
			sub.key += "." + sub.label
		}
		if s.title != "" {
			sub.title = s.title + ", " + sub.title
		}
		if !sub.labelsFit(name, b, labelled) {
			continue
		}
		s.snapshot.where[sub.key] = s.file.where(sub.at)
		all = append(all, sub)
	}
	return all
}

func (s *section) labelsFit(name string, b *hclsyntax.Block, labelled bool) bool {
	switch {
	case labelled && len(b.Labels) != 1:
		s.fail(s.at, "it has %d names, not one: write %s \"name\" { ... }", len(b.Labels), name)
		return false
	case !labelled && len(b.Labels) != 0:
		s.fail(s.at, "it takes no name: write %s { ... }", name)
		return false
	}
	return true
}

// finish reports everything that nobody asked for.
func (s *section) finish() {
	known := slices.Collect(maps.Keys(s.attrs))
	for _, name := range slices.Sorted(maps.Keys(s.body.Attributes)) {
		attr := s.body.Attributes[name]
		switch {
		case s.attrs[name]:
		case s.blocks[name]:
			s.fail(attr.NameRange, "%s is a block: write it without \"=\"", name)
		default:
			s.fail(attr.NameRange, "unknown setting %q: %s", name, suggest(name, append(known, slices.Collect(maps.Keys(s.blocks))...)))
		}
	}
	for _, b := range s.body.Blocks {
		switch {
		case s.blocks[b.Type]:
		case s.attrs[b.Type]:
			s.fail(b.TypeRange, "%s is a setting: write %s = ...", b.Type, b.Type)
		default:
			s.fail(b.TypeRange, "unknown block %q: %s", b.Type, suggest(b.Type, append(slices.Collect(maps.Keys(s.blocks)), known...)))
		}
	}
}

// parserErrors takes over what the HCL library complains about.
func (l *loader) parserErrors(f *file, diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		var at hcl.Range
		if d.Subject != nil {
			at = *d.Subject
		}
		text := strings.TrimSuffix(strings.Join(strings.Fields(d.Summary+": "+d.Detail), " "), ".")
		if d.Summary == "Attribute redefined" { // its detail names a line of the expanded text
			text = "it is set twice in this block: leave one out"
		}
		l.diagnostics = append(l.diagnostics, f.diagnostic(at, lowerFirst(text)))
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
