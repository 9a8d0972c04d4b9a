package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const certified = `credentials {
  certificate "east.example.net" {
    file       = "east.pem"
    key        = "east.key"
    passphrase = "east.pass"
  }
  certificate "%any" { file = "both.key" }
  pkcs12 "road@example.net" {
    file       = "road.p12"
    passphrase = "east.pass"
    purpose    = "decryption"
  }
  private_key "192.0.2.1" { file = "bare.key" }
  ca "corp" { file = "ca.pem" }
  ca "old" {
    file       = "cas"
    allow_weak = true
  }
  public_key "west.example.net" { file = "west.pub" }
  public_key "west.example.net" {
    file    = "west.pub"
    purpose = "decryption"
  }
}
`

// keyFolder is a folder with the files of certified: public ones that everybody may read, secret ones that nobody else may.
func keyFolder(t *testing.T) string {
	t.Helper()
	dir := folder(t, map[string]os.FileMode{"east.pem": 0o644, "ca.pem": 0o644, "west.pub": 0o644, "open.key": 0o644,
		"east.key": 0o600, "east.pass": 0o600, "both.key": 0o600, "road.p12": 0o400, "bare.key": 0o600})
	if err := os.Mkdir(filepath.Join(dir, "cas"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCertificatesAndKeysArrive(t *testing.T) {
	t.Parallel()
	dir := keyFolder(t)
	s, err := Parse("parley.hcl", []byte(certified), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(fmt.Sprintf("%v", s.Keys), dir+"/", "")
	for _, want := range []string{
		"{fqdn:east.example.net fqdn:east.example.net east.pem east.key east.pass signature}", "{%any %any both.key   signature}",
		"{email:road@example.net email:road@example.net road.p12  east.pass decryption}", "{ipv4:192.0.2.1 ipv4:192.0.2.1  bare.key  signature}",
		"[{corp ca.pem false} {old cas true}]", "west.pub signature}", "west.pub decryption}",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in %s", want, got)
		}
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0].Message, "2048") {
		t.Errorf("warnings %v, want one about weak keys", s.Warnings)
	}
	if at := s.Where("credentials.certificate.fqdn:east.example.net"); at != "parley.hcl:2" {
		t.Errorf("the certificate is at %q", at)
	}
	other, err := Parse("parley.hcl", []byte(strings.Replace(certified, `"ca.pem"`, `"east.pem"`, 1)), dir)
	if c := Diff(s, other); err != nil || !c.Credentials {
		t.Errorf("another authority is no change of credentials: %+v, %v", c, err)
	}
}

func TestMistakesAboutKeysAreExplained(t *testing.T) {
	t.Parallel()
	dir := keyFolder(t)
	for src, want := range map[string]string{
		`certificate "east" { file = "east.pem"  key = "open.key" }`:                   "can be read or written by others (mode 0644): chmod 600",
		`certificate "east" { file = "east.pem" }`:                                     "east.pem can be read or written by others", // the key lies in it
		`certificate "east" { key = "east.key" }`:                                      "it has no certificate",
		`certificate "east" { file = "east.pem"  key = "east.key"  purpose = "sign" }`: `unknown purpose "sign"`,
		`certificate "east" { file = "none.pem"  key = "east.key" }`:                   "none.pem does not exist",
		`certificate "east" { file = "cas"  key = "east.key" }`:                        "no regular file",
		`certificate "east" { fiel = "east.pem" }`:                                     "fiel",
		`private_key "%any" { file = "bare.key" }`:                                     "needs the identity",
		`public_key "%any" { file = "west.pub" }`:                                      "of one peer",
		`public_key "west" { }`:                                                        "it has no key",
		`ca "corp" { }`:                                                                "it has no certificate",
		`ca "corp" { file = "none" }`:                                                  "does not exist",
		"private_key \"a\" { file = \"bare.key\" }\nprivate_key \"b\" {\n file = \"bare.key\"\n purpose = \"decryption\"\n}": "for signatures and for decryption",
		"public_key \"west\" { file = \"west.pub\" }\npublic_key \"west\" { file = \"east.pem\" }":                           "already",
		"certificate \"east\" {\n file = \"east.pem\"\n key = \"east.key\"\n passphrase = \"hunter2\"\n}":                    "write the passphrase into a file of its own",
	} {
		_, err := Parse("parley.hcl", []byte("credentials {\n"+src+"\n}"), dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}
