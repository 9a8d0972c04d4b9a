package suite

import (
	"fmt"
	"slices"
)

// maxRounds is how often prf+ may call prf: its counter is one octet (RFC 7296 section 2.13).
const maxRounds = 255

// Sum returns prf(key, data...), the parts of data concatenated: OutLen octets (RFC 7296 section 2.13).
func (p *PRF) Sum(key []byte, data ...[]byte) []byte {
	mac := p.newMAC(key)
	for _, d := range data {
		mac.Write(d)
	}
	return mac.Sum(nil)
}

// Plus returns the first n octets of prf+(key, seed) (RFC 7296 section 2.13). It fails when n is negative or needs more
// than 255 rounds.
func (p *PRF) Plus(key, seed []byte, n int) ([]byte, error) {
	rounds := (n + p.OutLen - 1) / p.OutLen
	if n < 0 || rounds > maxRounds {
		return nil, fmt.Errorf("suite: %s cannot give %d octets of keying material: prf+ ends at %d", p.Name, n, maxRounds*p.OutLen)
	}
	mac := p.newMAC(key)
	out := make([]byte, 0, rounds*p.OutLen)
	input := append(slices.Clone(seed), 0) // S | counter
	defer clear(input)
	var last []byte // T(i-1)
	for i := range rounds {
		if i > 0 {
			mac.Reset()
		}
		input[len(seed)] = byte(i + 1)
		mac.Write(last)
		mac.Write(input)
		out = mac.Sum(out)
		last = out[i*p.OutLen:]
	}
	clear(out[n:]) // keying material that nobody asked for
	return out[:n:n], nil
}
