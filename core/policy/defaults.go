package policy

// The lists below were chosen from what some thirty kinds of peer offer and accept with nothing configured.
//
// Default holds what RFC 8247 and RFC 8221 recommend, the strongest first: what today's strongSwan, Libreswan, OpenIKED,
// Apple, Android, FortiGate, AWS, Google, IBM, Oracle, Huawei and NSX agree to. Combined-mode ciphers have a proposal of their
// own (RFC 7296 section 3.3). Compatible adds one more proposal at the end for peers that know no better: Windows, Azure,
// and the factory settings of Juniper, Palo Alto, MikroTik and VyOS. It is the operator's choice for one connection, because
// some peers pick the weakest of what they are offered.
const (
	ikeGroups = "x25519-ecp256-ecp384-modp2048-modp3072"
	espGroups = ikeGroups + "-none" // with or without perfect forward secrecy, as the peer likes

	defaultIKEAEAD   = "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha256-prfsha384-prfsha512-" + ikeGroups
	defaultIKECBC    = "aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-" + ikeGroups
	compatibleIKECBC = "aes256-aes128-sha256-sha1-prfsha256-prfsha1-modp2048-modp1024"
	defaultESPAEAD   = "aes256gcm16-aes128gcm16-chacha20poly1305-" + espGroups
	defaultESPCBC    = "aes256-aes128-sha256-sha384-sha512-" + espGroups
	compatibleESPCBC = "aes256-aes128-sha256-sha1-modp2048-modp1024-none"
)

// IKEv1 spells out every combination, and in aggressive mode it cannot negotiate the group (RFC 2409 section 5): so the group that all
// peers have comes first, and all combinations fit into a message that is not fragmented.
const (
	defaultIKEv1    = "aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-modp2048-ecp256-ecp384-modp3072-x25519"
	strongIKEv1     = "aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-modp2048-ecp256-x25519"
	compatibleIKEv1 = compatibleIKECBC
)

// DefaultIKEv1 returns the proposals for an ISAKMP SA that a connection of IKEv1 has when it names none.
func DefaultIKEv1() []Proposal { return mustParse(ScopeIKE, defaultIKEv1) }

// CompatibleIKEv1 returns the same with fewer groups, and a last proposal with SHA-1 and the 1024-bit MODP group.
func CompatibleIKEv1() []Proposal { return mustParse(ScopeIKE, strongIKEv1, compatibleIKEv1) }

// DefaultIKE returns the proposals for an IKE SA that a connection has when it names none.
func DefaultIKE() []Proposal { return mustParse(ScopeIKE, defaultIKEAEAD, defaultIKECBC) }

// DefaultESP returns the proposals for a child SA that a child has when it names none.
func DefaultESP() []Proposal { return mustParse(ScopeESP, defaultESPAEAD, defaultESPCBC) }

// CompatibleIKE returns DefaultIKE and a last proposal with SHA-1 and the 1024-bit MODP group.
func CompatibleIKE() []Proposal {
	return mustParse(ScopeIKE, defaultIKEAEAD, defaultIKECBC, compatibleIKECBC)
}

// CompatibleESP returns DefaultESP and a last proposal with SHA-1 and the 1024-bit MODP group.
func CompatibleESP() []Proposal {
	return mustParse(ScopeESP, defaultESPAEAD, defaultESPCBC, compatibleESPCBC)
}

// mustParse parses the constants above; a test proves that it cannot panic.
func mustParse(scope Scope, all ...string) []Proposal {
	var out []Proposal
	for _, s := range all {
		p, err := ParseProposal(scope, s)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
}
