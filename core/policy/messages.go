package policy

// Messages says how IKE messages travel.
type Messages struct {
	FragmentSize int // octets of an IP datagram above which they go in fragments (RFC 7383, in IKEv1 those of [MS-IKEE]); 0: never
	Window       int // how many requests of the peer we take at a time (RFC 7296 section 2.3); 1 is not announced
}

const (
	// DefaultFragmentSize is what IPv6 carries on every path, and IPv4 on nearly all. Where it does not arrive, fragments become
	// smaller (RFC 7383 section 2.5.2).
	DefaultFragmentSize = 1280
	// MinFragmentSize and MaxFragmentSize bound it: a fragment with the longest padding and checksum carries something, and an IP
	// datagram is not larger.
	MinFragmentSize, MaxFragmentSize = 200, 65535
	// DefaultWindow is what every peer knows.
	DefaultWindow = 1
	// MaxWindow bounds the requests and responses that are kept, of up to 64 KiB each.
	MaxWindow = 32
)

func (m *Messages) applyDefaults() {
	setDefault(&m.FragmentSize, DefaultFragmentSize)
	setDefault(&m.Window, DefaultWindow)
}
