package config

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"

	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// kinds of plugin.
var kinds = []string{"auth", "cred", "ke", "sa"}

func (l *loader) plugins(all []*section) {
	checkNames(all)
	for _, s := range all {
		p := Plugin{Name: s.label}
		p.read(s)
		l.snapshot.Plugins = append(l.snapshot.Plugins, p)
	}
}

func (p *Plugin) read(s *section) {
	p.kinds(s)
	p.file(s)
	p.Args = s.strings("args")
	p.config(s)
	for _, t := range must(s.texts("privileges")) {
		if t.value == "" || t.value != usableName(t.value) {
			s.fail(t.at, "%q is no privilege: write a name such as \"net_admin\"", t.value)
			continue
		}
		p.Privileges = append(p.Privileges, t.value)
	}
	s.str("user", &p.User)
	s.finish()
}

func (p *Plugin) kinds(s *section) {
	all, ok := s.texts("kind")
	for _, t := range all {
		switch {
		case !slices.Contains(kinds, t.value):
			s.fail(t.at, "unknown kind %q: %s", t.value, suggest(t.value, kinds))
		case slices.Contains(p.Kinds, t.value):
			s.fail(t.at, "kind %q is there twice: leave one out", t.value)
		default:
			p.Kinds = append(p.Kinds, t.value)
		}
	}
	if !s.has("kind") || ok && len(all) == 0 {
		s.fail(s.valueAt("kind"), "it does not say what it is: add kind = [\"ke\"], or another of auth, cred, sa")
	}
}

// file reads the path and the checksum, without which nothing is executed.
func (p *Plugin) file(s *section) {
	s.filePath("path", &p.Path)
	info, err := os.Stat(p.Path)
	switch {
	case !s.has("path"):
		s.fail(s.at, "it has no path: add path = \"/usr/libexec/parley/NAME\"")
		return
	case p.Path == "": // reported
	case err != nil:
		s.fail(s.valueAt("path"), "%s cannot be found (%v): install the plugin or mend the path", p.Path, cause(err))
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		s.fail(s.valueAt("path"), "%s is no executable file: name the plugin's executable, or chmod +x it", p.Path)
	}
	t, ok := s.text("sha256")
	switch {
	case !s.has("sha256"):
		s.fail(s.at, "it has no checksum, without which nothing is executed: add sha256 = \"...\", as sha256sum %s prints it", p.Path)
	case ok && !isSHA256(t.value):
		s.fail(t.at, "sha256 is no checksum: write the 64 hex digits that sha256sum %s prints", p.Path)
	case ok:
		p.SHA256 = strings.ToLower(t.value)
	}
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// config keeps the plugin's own settings as JSON.
func (p *Plugin) config(s *section) {
	attr, value, ok := s.attr("config")
	if !ok {
		return
	}
	if !value.Type().IsObjectType() {
		s.fail(attr.Expr.Range(), "config is %s: write an object, { name = value, ... }", kind(value))
		return
	}
	b, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		s.fail(attr.Expr.Range(), "config has no JSON form: use strings, numbers, true, false, lists and objects")
		return
	}
	p.Config = json.RawMessage(b)
}

// strings returns a setting that is a list of strings, without positions.
func (s *section) strings(name string) (all []string) {
	for _, t := range must(s.texts(name)) {
		all = append(all, t.value)
	}
	return all
}

// must drops the second result, where a setting that is not there and one that is empty are the same.
func must[T any](v T, _ bool) T { return v }
