package container

import (
	"encoding/asn1"
	"testing"
)

// marshal encodes parameters; those of PBKDF2 without the optional function.
func marshal(t *testing.T, params any) []byte {
	t.Helper()
	if p, ok := params.(pbkdf2Params); ok {
		params = struct {
			Salt       []byte
			Iterations int
			KeyLen     int `asn1:"optional"`
		}{p.Salt, p.Iterations, p.KeyLen}
	}
	der, err := asn1.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
