package daemon

import (
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/engine"
)

// limits are the bounds of floods in the engine's words.
func limits(f config.Flood) engine.Limits {
	l := engine.Limits{CookieThreshold: f.CookieThreshold, SourceCookieThreshold: f.SourceCookieThreshold, MaxHalfOpen: f.MaxHalfOpen,
		SourceMaxHalfOpen: f.SourceMaxHalfOpen, Rate: f.Rate, SourceRate: f.SourceRate, Errors: f.Errors, SourceErrors: f.SourceErrors,
		IKEv1MaxHalfOpen: f.IKEv1MaxHalfOpen, IKEv1SourceMaxHalfOpen: f.IKEv1SourceMaxHalfOpen, IKEv1Rate: f.IKEv1Rate, IKEv1SourceRate: f.IKEv1SourceRate,
		RSADecryptions: f.RSADecryptions, SourceRSADecryptions: f.SourceRSADecryptions}
	if l.CookieThreshold == 0 {
		l.CookieThreshold = engine.AlwaysCookies
	}
	return l
}
