package serve

import (
	"slices"
	"time"

	"github.com/parley-ike/parley/sdk/auth"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// prompt tells whether all operations of all services are performed in the reader.
func (s *Server) prompt() bool {
	return !slices.ContainsFunc(s.services, func(v *service) bool { return !v.prompt && v.ask == nil })
}

// promptly performs a request here, in the reader, if its service allows that, and reports whether it does. The answers leave
// with the reader's next Flush.
func (x *exchange) promptly(f *basev1.Frame) bool {
	v, err := x.find(f)
	switch {
	case err != nil:
		x.reply(f, nil, err, x.sender.Queue)
	case v.prompt && !slow[basev1.Op(f.GetOp())]:
		body, err := x.perform(f)
		x.reply(f, body, err, x.sender.Queue)
	case v.ask != nil && f.GetKey() == 0:
		x.ask(v, f)
	default:
		return false
	}
	return true
}

// slow are operations that a prompt service need not perform promptly: a list has no bound, and an operation with a private
// key, or the verification of a chain, takes up to milliseconds.
var slow = map[basev1.Op]bool{
	basev1.Op_OP_SA_LIST: true, basev1.Op_OP_CRED_SIGN: true, basev1.Op_OP_CRED_DECRYPT: true, basev1.Op_OP_CRED_TRUST: true,
}

// ask performs a request as far as its question to the credential stores; the answer concludes it.
func (x *exchange) ask(v *service, f *basev1.Frame) {
	by := deadline(f)
	var question auth.Question[[]byte]
	_, err := guard(func() (_ []byte, err error) {
		question, err = v.ask(basev1.Op(f.GetOp()), f.GetBody())
		return nil, err
	})
	var body []byte
	if err == nil {
		body, err = encodeMAC(question.Query, question.MACs)
	}
	if err != nil {
		x.reply(f, nil, err, x.sender.Queue)
		return
	}
	id := x.register(asked{by: by, answered: func(a *basev1.Frame) {
		body, err := guard(func() ([]byte, error) { return question.Conclude(decodeMAC(a, question.MACs)) })
		clear(a.Body)
		x.reply(f, body, err, x.sender.Queue)
	}})
	asking := &basev1.Frame{Id: id, Op: uint32(basev1.Op_OP_CRED_MAC), Body: body, BudgetMs: budget(by)}
	if err := x.sender.Queue(asking); err != nil {
		x.forget(id)
		x.reply(f, nil, unavailable(err), x.sender.Queue)
	}
}

// asked is a question to the daemon that waits for its answer.
type asked struct {
	by       time.Time           // nobody waits longer; zero: who asked forgets it himself
	answered func(*basev1.Frame) // in the reader: it must not wait
}

// sweepEvery is how often questions are forgotten that the daemon did not answer, against its promise.
const sweepEvery = time.Minute

// register returns the id for a question.
func (x *exchange) register(a asked) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := time.Now(); now.Sub(x.swept) > sweepEvery {
		x.swept = now
		for id, old := range x.asked {
			if !old.by.IsZero() && now.After(old.by) {
				delete(x.asked, id)
			}
		}
	}
	x.lastAsk++
	x.asked[x.lastAsk] = a
	return x.lastAsk
}

func (x *exchange) forget(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.asked, id)
}

// answered hands a reply to whoever asked; one that nobody awaits is dropped.
func (x *exchange) answered(f *basev1.Frame) {
	x.mu.Lock()
	a, ok := x.asked[f.GetId()]
	delete(x.asked, f.GetId())
	x.mu.Unlock()
	if ok {
		a.answered(f)
	}
}
