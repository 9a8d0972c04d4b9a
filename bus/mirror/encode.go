package mirror

import (
	"encoding"
	"encoding/json"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/parley-ike/parley/bus/event"
)

// Limits of one event. Emitters bound what they emit; these hold whatever they do.
const (
	MaxText = 256 // bytes of one text before escaping: longer than any RFC 1035 name
	MaxList = 64  // elements of one list
)

// encoder appends one value as JSON. The encoders of a type are compiled once; at run time there is no search for tags.
type encoder func(dst []byte, v reflect.Value) []byte

type field struct {
	key       string // `"name":`
	index     int
	omitEmpty bool
	encode    encoder
}

var plans sync.Map // reflect.Type of a struct -> []field

func planOf(t reflect.Type) []field {
	if p, ok := plans.Load(t); ok {
		return p.([]field)
	}
	p, _ := plans.LoadOrStore(t, compile(t))
	return p.([]field)
}

func compile(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{`"` + name + `":`, i, strings.Contains(options, "omitempty"), encoderOf(f.Type)})
	}
	return fields
}

func encoderOf(t reflect.Type) encoder {
	switch t {
	case reflect.TypeFor[netip.AddrPort]():
		return encodeAddrPort
	case reflect.TypeFor[event.UID]():
		return func(dst []byte, v reflect.Value) []byte { return appendText(dst, v.Interface().(event.UID).String()) }
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return encodeTextMarshaler
	}
	switch t.Kind() {
	case reflect.String:
		return func(dst []byte, v reflect.Value) []byte { return appendText(dst, v.String()) }
	case reflect.Bool:
		return func(dst []byte, v reflect.Value) []byte { return strconv.AppendBool(dst, v.Bool()) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(dst []byte, v reflect.Value) []byte { return strconv.AppendInt(dst, v.Int(), 10) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(dst []byte, v reflect.Value) []byte { return strconv.AppendUint(dst, v.Uint(), 10) }
	case reflect.Struct:
		return encodeStruct(t)
	case reflect.Slice:
		return encodeList(encoderOf(t.Elem()))
	}
	return encodeOther
}

func encodeAddrPort(dst []byte, v reflect.Value) []byte {
	a := v.Interface().(netip.AddrPort)
	dst = append(dst, '"')
	if a.IsValid() {
		dst = a.AppendTo(dst)
	}
	return append(dst, '"')
}

func encodeTextMarshaler(dst []byte, v reflect.Value) []byte {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return append(dst, "null"...)
	}
	return appendText(dst, string(text))
}

// encodeOther is the slow way for kinds that no event has today.
func encodeOther(dst []byte, v reflect.Value) []byte {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

func encodeStruct(t reflect.Type) encoder {
	fields := compile(t)
	return func(dst []byte, v reflect.Value) []byte {
		dst = append(dst, '{')
		dst = appendFields(dst, fields, v, false)
		return append(dst, '}')
	}
}

// encodeList differs from encoding/json in one point: a nil list is [].
func encodeList(element encoder) encoder {
	return func(dst []byte, v reflect.Value) []byte {
		dst = append(dst, '[')
		for i := range min(v.Len(), MaxList) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = element(dst, v.Index(i))
		}
		return append(dst, ']')
	}
}

// appendFields appends the members of v; comma says that others stand before them.
func appendFields(dst []byte, fields []field, v reflect.Value, comma bool) []byte {
	for i := range fields {
		f := &fields[i]
		member := v.Field(f.index)
		if f.omitEmpty && empty(member) {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(dst, f.key...)
		dst = f.encode(dst, member)
	}
	return dst
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct, reflect.Array:
		return false
	}
	return v.IsZero()
}

const hexDigits = "0123456789abcdef"

// appendText appends s as a JSON string of at most MaxText bytes of content (an ellipsis tells of a cut). Whatever is not
// printable, and what HTML would interpret, leaves as \u escape: the text may end on a terminal or in a web page.
func appendText(dst []byte, s string) []byte {
	s, cut := shorten(s)
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if plain(s[i]) {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, r)
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	if cut {
		dst = append(dst, "…"...)
	}
	return append(dst, '"')
}

func plain(c byte) bool {
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// shorten cuts s at MaxText bytes, between characters.
func shorten(s string) (string, bool) {
	if len(s) <= MaxText {
		return s, false
	}
	end := MaxText
	for end > MaxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end], true
}

func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	}
	if r > 0xffff {
		high, low := surrogates(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, uint16(r))
}

func appendUnit(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
