package protocol

import (
	"embed"
	"fmt"
	"strings"
)

// Requirement is one rule of an RFC, paraphrased; its number counts the rules of a section. The RFC has the binding words.
type Requirement struct {
	ID      string // RFC7296-2.1-3
	Section string // "2.1 Use of Retransmission Timers"
	Level   string // MUST, SHOULD NOT ...
	Role    string // initiator, responder (of the exchange at hand) or both
	Text    string
}

//go:embed requirements/*.tsv
var requirementFiles embed.FS

// documents are the RFCs whose requirements are listed.
var documents = []struct{ file, title string }{
	{"rfc7296.tsv", "RFC 7296: IKEv2"},
	{"rfc7383.tsv", "RFC 7383: fragmentation"},
	{"rfc4555.tsv", "RFC 4555: MOBIKE"},
	{"rfc2407.tsv", "RFC 2407: the IPsec DOI for ISAKMP"},
	{"rfc2408.tsv", "RFC 2408: ISAKMP"},
	{"rfc2409.tsv", "RFC 2409: IKEv1"},
	{"rfc3706.tsv", "RFC 3706: dead peer detection"},
	{"rfc3947.tsv", "RFC 3947: NAT traversal of IKEv1"},
	{"rfc3948.tsv", "RFC 3948: ESP in UDP"},
}

// requirements reads the rules of one document: lines of id, level, role and text with tabs between, and headings with #.
func requirements(file string) (list []Requirement, err error) {
	raw, err := requirementFiles.ReadFile("requirements/" + file)
	if err != nil {
		return nil, err
	}
	section := ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			section = heading
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("protocol: requirements/%s: %q has %d fields, want 4", file, line, len(f))
		}
		list = append(list, Requirement{f[0], section, f[1], f[2], f[3]})
	}
	return list, nil
}
