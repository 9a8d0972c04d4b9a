package link

// The go-plugin handshake. The cookie is no security: it tells a person who runs a plugin by hand what it is. The
// version is the major version of the base service; minor growth shows in service names and Manifest.features.
const (
	CookieKey       = "PARLEY_PLUGIN"
	CookieValue     = "9c1f0f0ab4a2c0c6b7e5f35e8fbb1b0d6a5a3f7d"
	ProtocolVersion = 1
)

// Environment variables that the host sets for a plugin process. All are optional; descriptors are decimal numbers.
const (
	EnvExchange = "PARLEY_EXCHANGE_FD" // the plugin's end of the socket pair that Framed runs on
	EnvFiles    = "PARLEY_FILES"       // "name:descriptor,name:descriptor"
	EnvImage    = "PARLEY_IMAGE_FD"    // the descriptor that was executed; of no use to the plugin
	EnvLogLevel = "PARLEY_LOG_LEVEL"   // from which level on the daemon wants log records: "debug", "info", ...
)

// FeatureFramed in Manifest.features says that the process took the descriptor of EnvExchange and speaks Framed on it.
const FeatureFramed = "framed/1"

// APIVersion is the major version of every kind's messages.
const APIVersion = 1

// Limits.
const (
	// MaxBody bounds the body of a frame: an answer to List with some 20,000 children fits, an IKE message 200 times.
	MaxBody = 12 << 20
	// MaxMessage bounds a message of a carrier: one largest frame and a full batch beside it.
	MaxMessage = 16 << 20
	// MaxBatchFrames and MaxBatchBytes end a batch: measured, larger ones save nothing and delay the first reply.
	MaxBatchFrames = 256
	MaxBatchBytes  = 1 << 20
	// MaxBacklog bounds what waits for a peer that does not read, in octets.
	MaxBacklog = 64 << 20
	// MaxErrorText bounds the text of an Error.
	MaxErrorText = 512
)
