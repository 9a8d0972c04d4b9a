package engine

// Limits bound what peers that are not authenticated can cost. A zero field takes its default. A source is an IPv4
// address, or an IPv6 prefix of 56 bits, which is what providers give one customer.
type Limits struct {
	// CookieThreshold is the number of half-open SAs from which on every first message needs a cookie (RFC 7296 section
	// 2.6). 100: half a megabyte (BenchmarkMemoryPerHalfOpenSA) and some hundredths of a second of work, more than peers
	// that restart in the ordinary way cause. A peer that meets the demand loses one round trip and nothing else. It is
	// also the number of messages per second that are worked on without a cookie: an offer that fits nowhere leaves no
	// half-open SA, but looking for a fit and saying why there is none takes up to some milliseconds.
	CookieThreshold int
	// SourceCookieThreshold is the same for the half-open SAs of one source. 20: a lone peer needs one, a NAT with many
	// behind it some.
	SourceCookieThreshold int
	// MaxHalfOpen is the number of half-open SAs above which even a good cookie does not help. 10 000: about 50 MB, and
	// 80 MB more when each first message is as long as ikev2 takes them.
	MaxHalfOpen int
	// SourceMaxHalfOpen is the same for one source. 500: a large NAT after a power failure. Only sources that answer at
	// their address can get beyond SourceCookieThreshold, so that nobody can use up what belongs to another.
	SourceMaxHalfOpen int
	// Rate is how many new SAs per second all sources together may cause, with good cookies. 2000: twice what one core can
	// just serve; more would only be begun and not finished.
	Rate int
	// SourceRate is how many new SAs per second one source may cause. 100: what one core can just serve is ten times
	// that. Half of the burst is kept for those with a good cookie.
	SourceRate int
	// Errors is how many unprotected errors per second are sent in all: INVALID_IKE_SPI and INVALID_MAJOR_VERSION (RFC 7296
	// section 1.5). They help a peer to notice a restart early, which it does without them, too. 1000: some per mille of a
	// core. Demands for cookies do not count: they are all that an honest peer has in a flood, and shorter than what they
	// answer.
	Errors int
	// SourceErrors is the same for one source, whose address may be forged. 50: a large NAT after our restart.
	SourceErrors int
	// IKEv1MaxHalfOpen is the number of half-open SAs of IKEv1 above which first messages of it are dropped. It has no cookies
	// that cost nothing, so that a forger can fill them all, for the addresses that its connections name. 1000: some megabytes.
	IKEv1MaxHalfOpen int
	// IKEv1SourceMaxHalfOpen is the same for one source. 50: a NAT with many behind it.
	IKEv1SourceMaxHalfOpen int
	// IKEv1Rate is how many new SAs of IKEv1 per second all sources together may cause; one in aggressive mode counts for five.
	// 200: forty key exchanges a second, some hundredths of a core with the slowest group that is offered by default.
	IKEv1Rate int
	// IKEv1SourceRate is the same for one source. 20: eight in aggressive mode at once, and four a second.
	IKEv1SourceRate int
	// RSADecryptions is how many RSA private operations per second strangers may cause by RSA encryption of IKEv1, all together; a
	// handshake takes one, or two in the mode of RFC 2409 section 5.2. 50: a twentieth of a core with a key of 2048 bits.
	RSADecryptions int
	// SourceRSADecryptions is the same for one source. 10: some peers behind a NAT. What is above waits.
	SourceRSADecryptions int
}

// AlwaysCookies as CookieThreshold lets nobody in without a cookie.
const AlwaysCookies = -1

// WithDefaults returns l with every zero field filled in.
func (l Limits) WithDefaults() Limits {
	fill := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	fill(&l.CookieThreshold, 100)
	fill(&l.SourceCookieThreshold, 20)
	fill(&l.MaxHalfOpen, 10_000)
	fill(&l.SourceMaxHalfOpen, 500)
	fill(&l.SourceRate, 100)
	fill(&l.Rate, 2000)
	fill(&l.Errors, 1000)
	fill(&l.SourceErrors, 50)
	fill(&l.IKEv1MaxHalfOpen, 1000)
	fill(&l.IKEv1SourceMaxHalfOpen, 50)
	fill(&l.IKEv1Rate, 200)
	fill(&l.IKEv1SourceRate, 20)
	fill(&l.RSADecryptions, 50)
	fill(&l.SourceRSADecryptions, 10)
	return l
}

const (
	sourceBits4, sourceBits6 = 32, 56
	// maxSources bounds the table of sources: above MaxHalfOpen's default, so that there are always some to forget, and
	// about 2 MB.
	maxSources = 1 << 14
	// burstSeconds is how many seconds of a rate may come at once.
	burstSeconds = 2
)
