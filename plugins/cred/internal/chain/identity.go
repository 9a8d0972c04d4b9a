package chain

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// Types of identities (RFC 7296 section 3.5).
const (
	idIPv4  = 1
	idFQDN  = 2
	idEmail = 3
	idIPv6  = 5
	idDN    = 9
)

// Matches checks that a certificate is an identity's (RFC 4945 section 3.1): addresses, names and mail addresses stand in
// subjectAltName, a distinguished name is the subject octet by octet. A name in the common name counts for nothing.
func Matches(c *x509.Certificate, id cred.Identity) error {
	if Has(c, id) {
		return nil
	}
	switch id.Type {
	case idIPv4, idFQDN, idEmail, idIPv6, idDN:
	case 0:
		return fmt.Errorf("no identity to match a certificate with: %w", sdk.ErrInvalid)
	default: // RFC 4945 sections 3.1.4, 3.1.6 and 3.1.7
		return fmt.Errorf("%v cannot be proven with a certificate: an identity must be an address, a name, a mail address or the subject's distinguished name: %w", Show(id), sdk.ErrRefused)
	}
	return fmt.Errorf("the peer says that it is %s, but its certificate is for %s: let it use an identity of its certificate, or give it a certificate with subjectAltName for that identity: %w",
		Show(id), holds(c), sdk.ErrRefused)
}

// Has tells whether a certificate has an identity.
func Has(c *x509.Certificate, id cred.Identity) bool {
	switch id.Type {
	case idIPv4, idIPv6: // bitwise, RFC 4945 section 3.1.1
		for _, ip := range c.IPAddresses {
			if four := ip.To4(); four != nil {
				ip = four
			}
			if bytes.Equal(ip, id.Data) && (len(ip) == 4) == (id.Type == idIPv4) {
				return true
			}
		}
	case idFQDN: // RFC 4945 section 3.1.2: no wildcards
		return contains(c.DNSNames, id.Data)
	case idEmail: // RFC 4945 section 3.1.3
		return contains(c.EmailAddresses, id.Data)
	case idDN: // RFC 4945 section 3.1.5; an empty subject names nobody
		return len(c.Subject.Names) > 0 && (bytes.Equal(c.RawSubject, id.Data) || sameName(c.RawSubject, id.Data))
	}
	return false
}

// contains compares without regard to the case of ASCII letters, and of no others.
func contains(names []string, want []byte) bool {
	for _, n := range names {
		if len(n) > 0 && lower(n) == lower(string(want)) {
			return true
		}
	}
	return false
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// maxShown is how many names of a certificate an error has.
const maxShown = 8

// holds lists the identities of a certificate.
func holds(c *x509.Certificate) string {
	var all []string
	for _, n := range c.DNSNames {
		all = append(all, Show(cred.Identity{Type: idFQDN, Data: []byte(n)}))
	}
	for _, n := range c.EmailAddresses {
		all = append(all, Show(cred.Identity{Type: idEmail, Data: []byte(n)}))
	}
	for _, ip := range c.IPAddresses {
		all = append(all, name(ip.String()))
	}
	if len(c.Subject.Names) > 0 {
		all = append(all, "dn:"+name(c.Subject.String()))
	}
	switch {
	case len(all) == 0:
		return "nobody: it has neither subject nor subjectAltName"
	case len(all) > maxShown:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxShown], ", "), len(all)-maxShown)
	}
	return strings.Join(all, ", ")
}

// Show renders an identity for people; a distinguished name as RFC 4514 has it.
func Show(id cred.Identity) string {
	if id.Type == idDN && len(id.Data) <= MaxSize {
		if dn, ok := distinguished(id.Data); ok {
			return "dn:" + name(dn)
		}
	}
	return id.String()
}
