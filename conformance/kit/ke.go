package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

// OpenKE gives another instance of the implementation: a new value, or a client of another process.
type OpenKE func() ke.Plugin

// KE runs every check of the key exchange contract.
func KE(t *testing.T, open OpenKE) {
	t.Helper()
	Run(t, KEChecks(), open)
}

// KEChecks returns the checks of the key exchange contract.
func KEChecks() []Check[OpenKE] {
	return []Check[OpenKE]{
		{"methods are described and constant", "sdk/ke Method", keDescribed},
		{"both sides agree, in sizes as described", "sdk/ke Plugin; RFC 7296 section 2.14", eachMethod(keAgrees)},
		{"every exchange has a fresh private value", "RFC 7296 section 2.12", eachMethod(keFresh)},
		{"another instance finishes what one initiated", "sdk/ke Plugin", keStateless},
		{"finish can be asked again and changes nothing", "sdk/ke Plugin", eachMethod(keRepeats)},
		{"public values of a wrong size are invalid", "RFC 7296 section 3.4", eachMethod(keWrongSizes)},
		{"public values that the group forbids are invalid", "RFC 6989 section 2; RFC 7748 section 6.1", eachMethod(keForbidden)},
		{"unusual public values that the group allows are accepted", "RFC 8031 section 3.2", eachMethod(keUnusual)},
		{"a state that is none is an error", "sdk/ke Plugin", eachMethod(keBrokenState)},
		{"an unknown method is unsupported", "sdk ErrUnsupported", keUnknown},
		{"calls run at the same time", "sdk/ke Plugin", keConcurrent},
		{"a call whose context ended is not performed", "sdk/ke Plugin", eachMethod(keCanceled)},
	}
}

func eachMethod(f func(context.Context, ke.Plugin, ke.Method) error) func(context.Context, OpenKE) error {
	return func(ctx context.Context, open OpenKE) error {
		var problems []error
		plugin := open()
		for _, method := range plugin.Methods() {
			if err := f(ctx, plugin, method); err != nil {
				problems = append(problems, fmt.Errorf("method %d (%s): %w", method.ID, method.Name, err))
			}
		}
		return errors.Join(problems...)
	}
}

func keDescribed(_ context.Context, open OpenKE) error {
	methods := open().Methods()
	if len(methods) == 0 {
		return errors.New("no methods")
	}
	seen := map[uint16]bool{0: true} // 0 is NONE
	for _, m := range methods {
		if seen[m.ID] || m.Name == "" || m.PublicLen <= 0 || m.ResponseLen <= 0 || m.SecretLen <= 0 {
			return fmt.Errorf("incomplete or repeated: %+v", m)
		}
		seen[m.ID] = true
	}
	if !reflect.DeepEqual(methods, open().Methods()) {
		return errors.New("two instances describe different methods")
	}
	return nil
}

// exchange is one whole key exchange; initiator and responder may be the same instance.
type exchange struct {
	state                       secret.Bytes
	public, response            []byte
	atInitiator, atResponder    secret.Bytes
	initiator, responder, third ke.Plugin
}

func (e *exchange) run(ctx context.Context, method uint16) (err error) {
	if e.state, e.public, err = e.initiator.Initiate(ctx, method); err != nil {
		return fmt.Errorf("initiate: %w", err)
	}
	if e.response, e.atResponder, err = e.responder.Respond(ctx, method, e.public); err != nil {
		return fmt.Errorf("respond: %w", err)
	}
	if e.atInitiator, err = e.third.Finish(ctx, method, e.state, e.response); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if !e.atInitiator.Equal(e.atResponder) {
		return errors.New("the two sides have different secrets")
	}
	return nil
}

func runExchange(ctx context.Context, p ke.Plugin, method uint16) (*exchange, error) {
	e := &exchange{initiator: p, responder: p, third: p}
	return e, e.run(ctx, method)
}

func keAgrees(ctx context.Context, p ke.Plugin, m ke.Method) error {
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	for _, size := range []struct {
		what      string
		got, want int
	}{
		{"the initiator's public value", len(e.public), m.PublicLen},
		{"the responder's public value", len(e.response), m.ResponseLen},
		{"the shared secret", len(e.atInitiator), m.SecretLen},
	} {
		if size.got != size.want {
			return fmt.Errorf("%s has %d octets, described as %d", size.what, size.got, size.want)
		}
	}
	return nil
}

func keFresh(ctx context.Context, p ke.Plugin, m ke.Method) error {
	a, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	b, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	if bytes.Equal(a.public, b.public) || bytes.Equal(a.response, b.response) || a.atInitiator.Equal(b.atInitiator) {
		return errors.New("two exchanges have values in common")
	}
	return nil
}

func keStateless(ctx context.Context, open OpenKE) error {
	e := exchange{initiator: open(), responder: open(), third: open()}
	for _, m := range e.initiator.Methods() {
		if err := e.run(ctx, m.ID); err != nil {
			return fmt.Errorf("method %d (%s): %w", m.ID, m.Name, err)
		}
	}
	return nil
}

func keRepeats(ctx context.Context, p ke.Plugin, m ke.Method) error {
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	state, response := e.state.Clone(), bytes.Clone(e.response)
	again, err := p.Finish(ctx, m.ID, e.state, e.response)
	if err != nil {
		return err
	}
	if !again.Equal(e.atInitiator) {
		return errors.New("the second finish gave another secret")
	}
	if !e.state.Equal(state) || !bytes.Equal(e.response, response) {
		return errors.New("finish changed its arguments")
	}
	return nil
}

// offer hands a public value to both verbs that read one, and expects both to call it invalid.
func offer(ctx context.Context, p ke.Plugin, m ke.Method, what string, toRespond, toFinish []byte) error {
	state, _, err := p.Initiate(ctx, m.ID)
	if err != nil {
		return err
	}
	_, shared, err := p.Respond(ctx, m.ID, toRespond)
	problem := WantError("respond to "+what, err, sdk.ErrInvalid)
	if err != nil && shared != nil {
		problem = errors.Join(problem, fmt.Errorf("respond to %s: a secret beside the error", what))
	}
	_, err = p.Finish(ctx, m.ID, state, toFinish)
	return errors.Join(problem, WantError("finish with "+what, err, sdk.ErrInvalid))
}

func keWrongSizes(ctx context.Context, p ke.Plugin, m ke.Method) error {
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	var problems []error
	for what, cut := range map[string]func([]byte) []byte{
		"nothing":            func([]byte) []byte { return nil },
		"one octet less":     func(b []byte) []byte { return b[:len(b)-1] },
		"one octet more":     func(b []byte) []byte { return append(slices.Clone(b), 0) },
		"a zero in front":    func(b []byte) []byte { return append([]byte{0}, b...) },
		"64 KiB":             func([]byte) []byte { return make([]byte, 1<<16) },
		"a first octet only": func(b []byte) []byte { return b[:1] },
	} {
		problems = append(problems, offer(ctx, p, m, what, cut(e.public), cut(e.response)))
	}
	return errors.Join(problems...)
}

func keForbidden(ctx context.Context, p ke.Plugin, m ke.Method) error {
	_, public, err := p.Initiate(ctx, m.ID)
	if err != nil {
		return err
	}
	var problems []error
	for what, value := range forbidden(m, public) {
		problems = append(problems, offer(ctx, p, m, what, value, value))
	}
	return errors.Join(problems...)
}

func keUnusual(ctx context.Context, p ke.Plugin, m ke.Method) error {
	if m.ID != curve25519 {
		return nil
	}
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	e.response[31] |= 0x80
	masked, err := p.Finish(ctx, m.ID, e.state, e.response)
	if err != nil {
		return fmt.Errorf("a public value with the top bit set: %w", err)
	}
	if !masked.Equal(e.atInitiator) {
		return errors.New("the top bit of a public value changes the secret")
	}
	if _, _, err := p.Respond(ctx, m.ID, nonCanonical()); err != nil {
		return fmt.Errorf("a non-canonical public value: %w", err)
	}
	return nil
}

func keBrokenState(ctx context.Context, p ke.Plugin, m ke.Method) error {
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	for what, state := range map[string]secret.Bytes{
		"no state": nil, "half a state": e.state[:len(e.state)/2], "a state of 64 KiB": make(secret.Bytes, 1<<16),
	} {
		if _, err := p.Finish(ctx, m.ID, state, e.response); err == nil {
			return fmt.Errorf("%s: accepted", what)
		}
	}
	return nil
}

// unknown are numbers that nobody provides: reserved, and the last for private use.
var unknown = []uint16{0, 65535}

func keUnknown(ctx context.Context, open OpenKE) error {
	plugin := open()
	var problems []error
	for _, id := range unknown {
		_, _, err := plugin.Initiate(ctx, id)
		problems = append(problems, WantError("initiate", err, sdk.ErrUnsupported))
		_, _, err = plugin.Respond(ctx, id, make([]byte, 32))
		problems = append(problems, WantError("respond", err, sdk.ErrUnsupported))
		_, err = plugin.Finish(ctx, id, make(secret.Bytes, 32), make([]byte, 32))
		problems = append(problems, WantError("finish", err, sdk.ErrUnsupported))
	}
	return errors.Join(problems...)
}

func keConcurrent(ctx context.Context, open OpenKE) error {
	plugin := open()
	methods := plugin.Methods()
	return Together(func(n int) error {
		_, err := runExchange(ctx, plugin, methods[n%len(methods)].ID)
		return err
	})
}

func keCanceled(ctx context.Context, p ke.Plugin, m ke.Method) error {
	e, err := runExchange(ctx, p, m.ID)
	if err != nil {
		return err
	}
	ended := Canceled(ctx)
	_, _, initiate := p.Initiate(ended, m.ID)
	_, _, respond := p.Respond(ended, m.ID, e.public)
	_, finish := p.Finish(ended, m.ID, e.state, e.response)
	return errors.Join(WantCanceled("initiate", initiate), WantCanceled("respond", respond), WantCanceled("finish", finish))
}
