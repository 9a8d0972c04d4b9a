package mirror

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// Times of a connection. A session that breaks one of them is ended and begun again.
const (
	connectTimeout = 2 * time.Second
	writeTimeout   = 2 * time.Second  // the socket's buffer stays full
	pingInterval   = 10 * time.Second // twice unanswered: dead
)

// natsOptions are those of every connection of the publisher. It reconnects by itself, since it must look up where the stream
// ends before it sends again; therefore nothing is buffered for a server that is away.
func natsOptions(name string, closed chan<- struct{}) []nats.Option {
	return []nats.Option{
		nats.Name(name), nats.NoReconnect(), nats.Timeout(connectTimeout), nats.FlusherTimeout(writeTimeout),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // else printed to stderr; acknowledgements tell
	}
}

// external connects to a server elsewhere.
type external struct{ config *Config }

func newExternal(c *Config) (*external, error) {
	for _, path := range []string{c.Credentials, c.NKeySeed, c.TLS.CA, c.TLS.Cert, c.TLS.Key} {
		if path == "" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		f.Close()
	}
	return &external{c}, nil
}

func (e *external) ensure(bool) error       { return nil }
func (e *external) explain(err error) error { return err }
func (e *external) stop()                   {}

// connect reads the files anew, so that renewed ones are used.
func (e *external) connect(options ...nats.Option) (*nats.Conn, error) {
	c := e.config
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.NKeySeed != "" {
		key, err := nats.NkeyOptionFromSeed(c.NKeySeed)
		if err != nil {
			return nil, fmt.Errorf("mirror: nkey_seed %s: %w", c.NKeySeed, err)
		}
		options = append(options, key)
	}
	if c.TLS.CA != "" {
		options = append(options, nats.RootCAs(c.TLS.CA))
	}
	if c.TLS.Cert != "" {
		options = append(options, nats.ClientCert(c.TLS.Cert, c.TLS.Key))
	}
	return nats.Connect(c.URL, options...)
}
