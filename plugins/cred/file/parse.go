package file

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"github.com/parley-ike/parley/sdk/secret"
)

// Errors of a file's content. None says what the content is.
var (
	errEmpty   = errors.New("no key: the file is empty")
	errHex     = errors.New("no hexadecimal number after 0x: write two digits for each octet")
	errBase64  = errors.New("no base64 after 0s")
	errControl = errors.New("the key has a control character or a second line: write it as 0x and hexadecimal, or 0s and base64")
	errBlank   = errors.New("the key begins or ends with a blank, which few peers can be told: take it away, or write the key as 0x and hexadecimal")
	errMark    = errors.New("the file begins with a byte order mark: save it as plain text")
)

// parse gives the key of a file's content in memory of its own. A null terminator is never part of it (RFC 7296 section
// 2.15), as control characters are refused.
func parse(content secret.Bytes) (secret.Bytes, error) {
	line := withoutNewline(content)
	switch {
	case len(line) == 0:
		return nil, errEmpty
	case bytes.HasPrefix(line, []byte("0x")), bytes.HasPrefix(line, []byte("0X")):
		return parseHex(line[2:])
	case bytes.HasPrefix(line, []byte("0s")), bytes.HasPrefix(line, []byte("0S")):
		return parseBase64(line[2:])
	}
	return parseText(line)
}

// withoutNewline takes away one "\n" or "\r\n", which editors put at the end of a file.
func withoutNewline(b []byte) []byte {
	if line, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return b
}

func parseHex(digits []byte) (secret.Bytes, error) {
	key := make(secret.Bytes, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(key, digits); err != nil {
		key.Wipe()
		return nil, errHex
	}
	if len(key) == 0 {
		return nil, errEmpty
	}
	return key, nil
}

func parseBase64(digits []byte) (secret.Bytes, error) {
	digits = bytes.TrimRight(digits, "=")
	if bytes.ContainsAny(digits, "\r\n") { // the decoder would skip them
		return nil, errBase64
	}
	key := make(secret.Bytes, base64.RawStdEncoding.DecodedLen(len(digits)))
	if _, err := base64.RawStdEncoding.Decode(key, digits); err != nil {
		key.Wipe()
		return nil, errBase64
	}
	if len(key) == 0 {
		return nil, errEmpty
	}
	return key, nil
}

func parseText(line []byte) (secret.Bytes, error) {
	switch {
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		return nil, errMark
	case bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errControl
	case line[0] == ' ' || line[len(line)-1] == ' ':
		return nil, errBlank
	}
	return bytes.Clone(line), nil
}
