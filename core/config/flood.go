package config

// Flood bounds what peers that are not authenticated can cost. A source is an IPv4 address, or an IPv6 prefix of 56 bits.
type Flood struct {
	// CookieThreshold is the number of half-open IKE SAs from which on every first message needs a cookie (RFC 7296 section
	// 2.6), and the number of first messages per second that are worked on without one; 0: cookies are asked for always.
	// SourceCookieThreshold is the former for one source.
	CookieThreshold, SourceCookieThreshold int
	MaxHalfOpen, SourceMaxHalfOpen         int // half-open IKE SAs from which on first messages are dropped
	Rate, SourceRate                       int // new IKE SAs per second
	Errors, SourceErrors                   int // unprotected error answers per second (RFC 7296 section 1.5)
	// The same for IKEv1, which has no cookies; a first message of aggressive mode counts for five.
	IKEv1MaxHalfOpen, IKEv1SourceMaxHalfOpen int
	IKEv1Rate, IKEv1SourceRate               int
	// RSA private operations per second that RSA encryption of IKEv1 may cost before a peer is authenticated.
	RSADecryptions, SourceRSADecryptions int
}

// defaultFlood is what package engine has as defaults, where they are explained.
func defaultFlood() Flood {
	return Flood{CookieThreshold: 100, SourceCookieThreshold: 20, MaxHalfOpen: 10_000, SourceMaxHalfOpen: 500,
		Rate: 2000, SourceRate: 100, Errors: 1000, SourceErrors: 50,
		IKEv1MaxHalfOpen: 1000, IKEv1SourceMaxHalfOpen: 50, IKEv1Rate: 200, IKEv1SourceRate: 20,
		RSADecryptions: 50, SourceRSADecryptions: 10}
}

// maxFlood bounds the numbers: there is no machine for more.
const maxFlood = 1 << 24

// minIKEv1Rate lets a first message of aggressive mode pass, which counts for five where two seconds' worth may come at once.
const minIKEv1Rate = 3

func (f *Flood) read(s *section) {
	*f = defaultFlood()
	if s == nil {
		return
	}
	integer(s, "cookie_threshold", &f.CookieThreshold, 0, maxFlood)
	integer(s, "source_cookie_threshold", &f.SourceCookieThreshold, 1, maxFlood)
	integer(s, "max_half_open", &f.MaxHalfOpen, 1, maxFlood)
	integer(s, "source_max_half_open", &f.SourceMaxHalfOpen, 1, maxFlood)
	integer(s, "rate", &f.Rate, 1, maxFlood)
	integer(s, "source_rate", &f.SourceRate, 1, maxFlood)
	integer(s, "errors", &f.Errors, 1, maxFlood)
	integer(s, "source_errors", &f.SourceErrors, 1, maxFlood)
	integer(s, "ikev1_max_half_open", &f.IKEv1MaxHalfOpen, 1, maxFlood)
	integer(s, "ikev1_source_max_half_open", &f.IKEv1SourceMaxHalfOpen, 1, maxFlood)
	integer(s, "ikev1_rate", &f.IKEv1Rate, minIKEv1Rate, maxFlood)
	integer(s, "ikev1_source_rate", &f.IKEv1SourceRate, minIKEv1Rate, maxFlood)
	integer(s, "rsa_decryptions", &f.RSADecryptions, 1, maxFlood)
	integer(s, "source_rsa_decryptions", &f.SourceRSADecryptions, 1, maxFlood)
	if f.SourceMaxHalfOpen > f.MaxHalfOpen && s.has("source_max_half_open") {
		s.fail(s.valueAt("source_max_half_open"), "source_max_half_open is more than max_half_open (%d): one source is a part of all", f.MaxHalfOpen)
	}
	s.finish()
}
