package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/cred"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// keyOptions are the flags about what a credential store has besides pre-shared keys.
type keyOptions struct {
	signs, decrypts []string // FQDNs of ours for whom the store has private keys
	ca, caKey       string   // files of an authority that the store trusts, and of its private key
}

func (k *keyOptions) register(f *pflag.FlagSet, cmd *cobra.Command) {
	f.StringSliceVar(&k.signs, "signs", nil, "`FQDN` of ours for whom the store has a private key for signatures")
	f.StringSliceVar(&k.decrypts, "decrypts", nil, "`FQDN` of ours for whom the store has a private key for decryption")
	f.StringVar(&k.ca, "ca", "", "`FILE` with the certificate of an authority that the store trusts, in PEM")
	f.StringVar(&k.caKey, "ca-key", "", "`FILE` with the private key of that authority, PKCS#8 in PEM: certificates of the suite are made with it")
	for _, name := range []string{"signs", "decrypts"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

func (k *keyOptions) check(knownPeer string) error {
	switch {
	case (k.ca == "") != (k.caKey == ""):
		return usageError{errors.New("--ca and --ca-key go together: the suite makes certificates with them")}
	case len(k.decrypts) > 0 && len(k.signs) == 0:
		return usageError{errors.New("--decrypts needs --signs FQDN: the suite shows that a key does not serve both")}
	case knownPeer == "" && len(k.signs) == 0 && k.ca == "":
		return usageError{errors.New("--peer FQDN is missing: name a peer for whom the store has a pre-shared key, or what else it has with --signs FQDN or --ca FILE")}
	}
	return nil
}

// judge judges private keys and trust, as far as the flags say that the store has any.
func (k *keyOptions) judge(ctx context.Context, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	open := func() cred.Store { return s.now().Cred(p.GetName()) }
	if len(k.signs) > 0 {
		fixture := kit.KeyFixture{Open: open, Unknown: ours("nobody.invalid", cred.Signature)}
		for _, name := range k.signs {
			fixture.Signature = append(fixture.Signature, ours(name, cred.Signature))
		}
		for _, name := range k.decrypts {
			fixture.Decryption = append(fixture.Decryption, ours(name, cred.Decryption))
		}
		if err := judge(ctx, s, kit.KeyChecks(), fixture, prefixed("keys: ", tell)); err != nil {
			return err
		}
	}
	if k.ca == "" {
		return nil
	}
	authority, err := k.authority()
	if err != nil {
		return err
	}
	return judge(ctx, s, kit.TrustChecks(), kit.TrustFixture{Open: open, Authority: authority}, prefixed("trust: ", tell))
}

// prefixed tells results of one suite among others.
func prefixed(prefix string, tell func(kit.Result)) func(kit.Result) {
	return func(r kit.Result) {
		r.Name = prefix + r.Name
		tell(r)
	}
}

// ours asks for private keys of ours by FQDN (RFC 7296 section 3.5: type 2).
func ours(name string, purpose cred.Purpose) cred.Query {
	return cred.Query{Purpose: purpose, Local: cred.Identity{Type: 2, Data: []byte(name)}}
}

func (k *keyOptions) authority() (*kit.Authority, error) {
	der, err := readPEM(k.ca)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.ca, err)
	}
	if der, err = readPEM(k.caKey); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.caKey, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: the key cannot sign", k.caKey)
	}
	return &kit.Authority{Certificate: certificate, Key: signer}, nil
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM in it", path)
	}
	return block.Bytes, nil
}
