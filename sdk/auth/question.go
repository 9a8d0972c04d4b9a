package auth

import (
	"context"

	"github.com/parley-ike/parley/sdk/cred"
)

// Question is what an authenticator asks the credential stores in the course of an operation with the result T.
type Question[T any] struct {
	Query cred.Query
	MACs  []cred.MAC
	// Conclude makes the result of the stores' answer: a value for each of MACs, or why there are none.
	Conclude func(values [][]byte, err error) (T, error)
}

// Ask asks the host and concludes.
func (q Question[T]) Ask(ctx context.Context, host Host) (T, error) {
	return q.Conclude(host.MAC(ctx, q.Query, q.MACs))
}

// Authenticated is the result of a responder's Verify and Sign.
type Authenticated struct {
	Remote Identity
	Signed Signed
}

// Questioner is implemented by plugins whose every operation is one question to the credential stores, and prompt apart
// from that (see sdk.Prompt). While the answer is on its way no goroutine waits for it. The methods do what Sign, Verify
// and Authenticate do; a question stays valid after they returned, and is concluded at most once.
type Questioner interface {
	Plugin
	AskToSign(Sign) (Question[Signed], error)
	AskToVerify(Verify) (Question[Identity], error)
	AskToAuthenticate(Verify, Sign) (Question[Authenticated], error)
}
