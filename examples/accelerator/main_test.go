package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

func TestTheBackendConforms(t *testing.T) {
	t.Parallel()
	sakit.Run(t, sakit.Fixture{Plugin: newBackend(newCard(places, 0))})
}

func TestTheKeyExchangeConforms(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return &exchange{newEngine(nil)} })
}

func child(n byte) sa.Child {
	all := []sa.Selector{{EndPort: 65535, Start: netip.IPv4Unspecified(), End: netip.AddrFrom4([4]byte{255, 255, 255, 255})}}
	return sa.Child{UID: sa.UID{n}, Owner: "test", Conn: "west", Name: "lan", SPIIn: 0x1000 + uint32(n), SPIOut: 0x2000 + uint32(n),
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"), Encr: aesGCM16, KeyBits: 128,
		EncrIn: make([]byte, 20), EncrOut: make([]byte, 20), ReplayWindow: 64, LocalTS: all, RemoteTS: all}
}

// A child has two places; what got only one is taken back, so that nothing half made stays.
func TestAFullCardRefusesAndKeepsNothingHalfMade(t *testing.T) {
	t.Parallel()
	c := newCard(3, 0)
	b := newBackend(c)
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Install(t.Context(), child(2)); !errors.Is(err, sdk.ErrOverloaded) {
		t.Errorf("the second child: %v", err)
	}
	if _, taken := c.condition(); taken != 2 {
		t.Errorf("%d places are taken, want those of the first child", taken)
	}
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Errorf("the first child again: %v", err)
	}
}

func TestAResetOfTheCardIsSeenByItsEpochAndPasses(t *testing.T) {
	t.Parallel()
	c := newCard(places, 0)
	b := newBackend(c)
	before, _ := b.Probe(t.Context())
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	c.fault = errReset
	if err := b.Install(t.Context(), child(2)); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("while it resets: %v", err)
	}
	c.fault = nil
	c.reset()
	after, _ := b.Probe(t.Context())
	if list, err := b.List(t.Context(), "test"); err != nil || len(list) != 0 || after.Epoch == before.Epoch {
		t.Errorf("after the reset: %v, %v, epoch %d and %d", list, err, before.Epoch, after.Epoch)
	}
}

// The plugin keeps nothing: another one finds on the card what the first has installed.
func TestARestartedPluginFindsWhatTheCardHas(t *testing.T) {
	t.Parallel()
	c := newCard(places, 0)
	if err := newBackend(c).Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	list, err := newBackend(c).List(t.Context(), "test")
	if err != nil || len(list) != 1 || list[0].UID != child(1).UID || list[0].EncrIn != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

// blocked is an engine whose card is busy until gate is closed.
func blocked(t *testing.T, batches chan int) (e *engine, gate chan struct{}) {
	t.Helper()
	e, gate = newEngine(batches), make(chan struct{})
	begun := make(chan struct{})
	go func() { _ = e.do(context.Background(), func() error { close(begun); <-gate; return nil }) }()
	<-begun
	return e, gate
}

func TestJobsThatComeTogetherAreDoneInOneBatch(t *testing.T) {
	t.Parallel()
	batches := make(chan int, batchSize+1)
	e := &engine{make(chan job, backlog), make(chan []job, ring), time.Hour, batches} // only a full batch is begun
	go e.drive()
	go e.card()
	x := &exchange{e}
	var all sync.WaitGroup
	for range batchSize {
		all.Go(func() {
			if _, public, err := x.Initiate(t.Context(), curve25519); err != nil || len(public) != 32 {
				t.Errorf("%x, %v", public, err)
			}
		})
	}
	all.Wait()
	if size := <-batches; size != batchSize {
		t.Errorf("a batch of %d jobs, want %d", size, batchSize)
	}
}

func TestAJobThatNobodyWantsIsLeftOutAndAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	e, gate := blocked(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	ran := false
	go func() { left <- e.do(ctx, func() error { ran = true; return nil }) }()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	var all sync.WaitGroup
	refused := make(chan error, 2*backlog)
	for range 2 * backlog { // more than the queue, the ring and the card have room for
		all.Go(func() { refused <- e.do(t.Context(), func() error { return nil }) })
	}
	if err := <-refused; !errors.Is(err, sdk.ErrOverloaded) {
		t.Errorf("with a full queue: %v", err)
	}
	close(gate)
	all.Wait()
	if ran {
		t.Error("the job that nobody wanted ran")
	}
}

// While a batch is on the card the next ones are gathered; the answers of a batch come in an order of the card's own.
func TestAnswersComeInTheOrderOfTheCard(t *testing.T) {
	t.Parallel()
	e, gate := blocked(t, nil)
	order := make(chan int, batchSize)
	var all sync.WaitGroup
	for n := range batchSize {
		answered := make(chan error, 1)
		e.jobs <- job{t.Context(), func() error { order <- n; return nil }, answered}
		all.Go(func() {
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
	close(gate)
	all.Wait()
	sorted := true
	for last := -1; len(order) > 0; {
		n := <-order
		sorted, last = sorted && n > last, n
	}
	if sorted { // by chance once in 64! times, if all went in one batch
		t.Error("the jobs of a batch were done in the order in which they came")
	}
}

// files writes a certificate and its key, and returns the configuration that names them.
func files(t *testing.T, mode os.FileMode) []byte {
	t.Helper()
	private := kit.NewKey("rsa")
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, secret := filepath.Join(dir, "east.pem"), filepath.Join(dir, "east.key")
	write := func(path, kind string, der []byte, mode os.FileMode) {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(certificate, "CERTIFICATE", kit.NewAuthority("root").Issue(private, "east.example.net", nil).Raw, 0o644)
	write(secret, "PRIVATE KEY", der, mode)
	return fmt.Appendf(nil, `{"local":"east.example.net","certificate":%q,"key":%q}`, certificate, secret)
}

func TestTheCredentialStoreConforms(t *testing.T) {
	t.Parallel()
	config := files(t, 0o600)
	east := cred.Query{Purpose: cred.Signature, Local: cred.Identity{Type: fqdn, Data: []byte("east.example.net")}}
	north := cred.Query{Purpose: cred.Signature, Local: cred.Identity{Type: fqdn, Data: []byte("north.example.net")}}
	kit.Keys(t, kit.KeyFixture{Signature: []cred.Query{east}, Unknown: north, Open: func() cred.Store {
		s := newSigner(newEngine(nil))
		if problems := s.Validate(config); problems != nil {
			t.Error(problems)
		}
		if err := s.Configure(t.Context(), serve.Env{}, config); err != nil {
			t.Error(err)
		}
		return cred.Complete(s)
	}})
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	if problems := newSigner(newEngine(nil)).Validate(files(t, 0o644)); len(problems) != 1 || !strings.Contains(problems[0], "chmod 0600") {
		t.Errorf("%q", problems)
	}
}
