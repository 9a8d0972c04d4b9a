package config

import (
	"net/url"
	"path/filepath"
	"slices"
)

func (l *loader) nats(s *section) {
	n := &l.snapshot.NATS
	*n = NATS{Mode: "embedded", StoreDir: filepath.Join(l.snapshot.Daemon.StateDir, "nats"), MaxBytes: defaultMaxBytes}
	if s == nil {
		return
	}
	s.choice("mode", &n.Mode, "embedded", "external", "off")
	s.filePath("store_dir", &n.StoreDir)
	s.size("max_bytes", &n.MaxBytes)
	n.server(s)
	if s.secretFile("credentials", &n.Credentials); n.Credentials != "" && n.Mode != "external" {
		s.fail(s.valueAt("credentials"), "credentials are for mode = \"external\": set the mode or leave them out")
	}
	if tls := s.only("tls"); tls != nil {
		tls.filePath("ca", &n.TLS.CA)
		tls.filePath("cert", &n.TLS.Cert)
		tls.secretFile("key", &n.TLS.Key)
		if (n.TLS.Cert == "") != (n.TLS.Key == "") {
			tls.fail(tls.at, "cert and key belong together: set both or none")
		}
		tls.finish()
	}
	s.finish()
}

// server reads the address of an external server. A password does not belong into it.
func (n *NATS) server(s *section) {
	t, ok := s.text("url")
	switch {
	case ok && n.Mode != "external":
		s.fail(t.at, "url is for mode = \"external\": set the mode or leave it out")
	case ok:
		u, err := url.Parse(t.value)
		if err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Host == "" {
			s.fail(t.at, "url is no NATS address: write one such as \"nats://host:4222\" or \"tls://host:4222\"")
			return
		}
		if u.User != nil {
			s.fail(t.at, "url holds a user or a password, and a configuration is no place for secrets: put them into a credentials file and name it with credentials")
			return
		}
		n.URL = t.value
	case n.Mode == "external" && !s.has("url"):
		s.fail(s.at, "mode = \"external\" needs to know the server: add url = \"nats://host:4222\"")
	}
}
