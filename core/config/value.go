package config

import (
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// text is a string of the configuration and where it stands.
type text struct {
	value string
	at    hcl.Range
}

// text returns a setting that is a string.
func (s *section) text(name string) (text, bool) {
	attr, value, ok := s.attr(name)
	if !ok {
		return text{}, false
	}
	at := attr.Expr.Range()
	if value.Type() != cty.String {
		s.fail(at, "%s is %s: write a string in quotes", name, kind(value))
		return text{}, false
	}
	return text{value.AsString(), at}, true
}

// texts returns a setting that is a list of strings, or one string.
func (s *section) texts(name string) (all []text, ok bool) {
	attr, value, ok := s.attr(name)
	if !ok {
		return nil, false
	}
	at := attr.Expr.Range()
	if value.Type() == cty.String {
		return []text{{value.AsString(), at}}, true
	}
	if !value.Type().IsTupleType() {
		s.fail(at, "%s is %s: write a list of strings, such as [\"a\", \"b\"]", name, kind(value))
		return nil, false
	}
	for i, v := range value.AsValueSlice() {
		element := elementRange(attr, i)
		if v.IsNull() || v.Type() != cty.String {
			s.fail(element, "%s holds something else than strings: write each in quotes", name)
			return nil, false
		}
		all = append(all, text{v.AsString(), element})
	}
	return all, true
}

func elementRange(attr *hclsyntax.Attribute, i int) hcl.Range {
	if list, ok := attr.Expr.(*hclsyntax.TupleConsExpr); ok && i < len(list.Exprs) {
		return list.Exprs[i].Range()
	}
	return attr.Expr.Range()
}

// kind names what a value is, with its article.
func kind(v cty.Value) string {
	switch t := v.Type(); {
	case t.IsTupleType():
		return "a list"
	case t.IsObjectType():
		return "an object"
	case t == cty.Bool:
		return "true or false"
	default:
		return "a " + t.FriendlyName()
	}
}

// str sets dst when the setting is there.
func (s *section) str(name string, dst *string) {
	if t, ok := s.text(name); ok {
		*dst = t.value
	}
}

// filePath sets dst to a path, made absolute from the file's folder.
func (s *section) filePath(name string, dst *string) {
	if t, ok := s.text(name); ok {
		if t.value == "" {
			s.fail(t.at, "%s is empty: name a path or leave it out", name)
			return
		}
		*dst = s.resolve(t.value)
	}
}

func (s *section) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(s.file.dir, path)
}

// choice sets dst to one of some words.
func (s *section) choice(name string, dst *string, words ...string) {
	t, ok := s.text(name)
	switch {
	case !ok:
	case slices.Contains(words, t.value):
		*dst = t.value
	default:
		s.fail(t.at, "unknown %s %q: %s", name, t.value, suggest(t.value, words))
	}
}

// boolean sets dst when the setting is there.
func (s *section) boolean(name string, dst *bool) {
	attr, value, ok := s.attr(name)
	switch {
	case !ok:
	case value.Type() == cty.Bool:
		*dst = value.True()
	default:
		s.fail(attr.Expr.Range(), "%s is %s: write true or false", name, kind(value))
	}
}

// number returns a setting that is a number in [low, high], or says so.
func (s *section) number(name string, low, high float64) (*big.Float, bool) {
	attr, value, ok := s.attr(name)
	if !ok {
		return nil, false
	}
	if value.Type() != cty.Number {
		s.fail(attr.Expr.Range(), "%s is %s: write a number without quotes", name, kind(value))
		return nil, false
	}
	n := value.AsBigFloat()
	if n.Cmp(big.NewFloat(low)) < 0 || n.Cmp(big.NewFloat(high)) > 0 {
		s.fail(attr.Expr.Range(), "%s is out of range: write a number from %s to %s", name, decimal(low), decimal(high))
		return nil, false
	}
	return n, true
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// integer sets dst to a whole number in [low, high].
func integer[T ~int | ~uint16 | ~uint32](s *section, name string, dst *T, low, high int64) {
	n, ok := s.number(name, float64(low), float64(high))
	if !ok {
		return
	}
	i, exact := n.Int64()
	if exact != big.Exact {
		s.fail(s.valueAt(name), "%s is no whole number: write one", name)
		return
	}
	*dst = T(i)
}

// longest is the longest duration that makes sense anywhere here; a larger one is a slip of the unit.
const longest = 7 * 24 * time.Hour

// duration sets dst to a duration of at least low.
func (s *section) duration(name string, dst *time.Duration, low time.Duration) {
	_, value, ok := s.attr(name)
	if !ok {
		return
	}
	at := s.valueAt(name)
	if value.Type() != cty.String {
		s.fail(at, "%s needs a unit: write it in quotes, such as \"30s\", \"500ms\" or \"5m\"", name)
		return
	}
	d, err := time.ParseDuration(value.AsString())
	switch {
	case err != nil:
		s.fail(at, "%q is no duration: write a number and a unit, such as \"30s\", \"500ms\" or \"5m\"", value.AsString())
	case d < low || d > longest:
		s.fail(at, "%s is out of range: write %v to %v", name, low, longest)
	default:
		*dst = d
	}
}

// units of sizes, binary as in "64MiB".
var units = []struct {
	word string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// size sets dst to a number of octets, given as a number or as "64MiB".
func (s *section) size(name string, dst *int64) {
	_, value, ok := s.attr(name)
	if !ok {
		return
	}
	if value.Type() == cty.Number {
		if n, ok := s.number(name, 0, 1<<50); ok {
			*dst, _ = n.Int64()
		}
		return
	}
	t, ok := s.text(name)
	if !ok {
		return
	}
	n, err := parseSize(t.value)
	if err != nil {
		s.fail(t.at, "%s: %v", name, err)
		return
	}
	*dst = n
}

func parseSize(in string) (int64, error) {
	for _, u := range units {
		if digits, ok := strings.CutSuffix(in, u.word); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err == nil && n >= 0 && n <= (1<<50)/u.size {
				return n * u.size, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is no size: write a number of octets, or one such as \"64MiB\" or \"1GiB\"", in)
}
