package sdk

import "context"

// Canary is implemented by plugins of any kind that can prove to the base service's Health that they work.
type Canary interface {
	// Canary performs a real operation with a known answer and returns an error when the answer is another one or does
	// not come. It changes nothing, takes milliseconds at most and is safe for concurrent use with every other call.
	Canary(ctx context.Context) error
}
