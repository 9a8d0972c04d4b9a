package policy

// Messages says how IKE messages travel.
type Messages struct {
	FragmentSize int // octets of an IP datagram above which they go in fragments (RFC 7383); 0: never
}

const (
	// DefaultFragmentSize is what IPv6 carries on every path, and IPv4 on nearly all. Where it does not arrive, fragments become
	// smaller (RFC 7383 section 2.5.2).
	DefaultFragmentSize = 1280
	// MinFragmentSize and MaxFragmentSize bound it: a fragment with the longest padding and checksum carries something, and an IP
	// datagram is not larger.
	MinFragmentSize, MaxFragmentSize = 200, 65535
)

func (m *Messages) applyDefaults() { setDefault(&m.FragmentSize, DefaultFragmentSize) }
