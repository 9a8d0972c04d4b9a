package pfkeyv2

import (
	"encoding/binary"
	"errors"
)

// ErrDialect is wrapped by errors about what a kernel has no way to say.
var ErrDialect = errors.New("not in this dialect")

// extension is a kind of extension, as numbered by Linux where that has it.
type extension uint16

const (
	extSA extension = iota + 1
	extCurrent
	extHard
	extSoft
	extSrc
	extDst
	extProxy
	extAuthKey
	extEncrKey
)

const (
	extAuths extension = iota + 14
	extCiphers
	extRange
)

const (
	extPolicy extension = iota + 18
	extSA2
	extNATType
	extNATSrc
	extNATDst
)

// Extensions that Linux lacks have numbers of ours.
const (
	extNewSrc extension = iota + 1000
	extNewDst
	extWindow
	extSrcMask
	extDstMask
	extProtocol
	extFlowType
	extSrcFlow
	extDstFlow
	extUDPEncap
)

// common are the numbers of RFC 2367 section 3.4, which all kernels keep.
var common = map[extension]uint16{extSA: 1, extCurrent: 2, extHard: 3, extSoft: 4, extSrc: 5, extDst: 6, extProxy: 7, extAuthKey: 8,
	extEncrKey: 9, extAuths: 14, extCiphers: 15, extRange: 16}

// Cipher is an encryption algorithm of a dialect.
type Cipher struct {
	ID   uint8
	Salt int  // octets at the end of the key
	AEAD bool // it takes no integrity algorithm
}

// Integrity is an integrity algorithm of a dialect, with the octets that the kernel leaves of its result.
type Integrity struct {
	ID      uint8
	Key     int // octets
	ICV     int // octets
	ICVSpec int // octets that IKE's transform means: where they differ, nobody else understands the packets
}

// Dialect is how one kernel writes PF_KEY.
type Dialect struct {
	Name  string
	Order binary.ByteOrder // of the machine's numbers

	// Ciphers and Integrities are by IANA's IKEv2 transform ID.
	Ciphers     map[uint16]Cipher
	Integrities map[uint16]Integrity
	// MaxWindow is the largest replay window, in packets.
	MaxWindow uint32
	// MaxReqID is the largest reqid that a policy can name.
	MaxReqID uint32
	// Forward: forwarded packets need a policy of their own.
	Forward bool
	// ESN: it has extended sequence numbers.
	ESN bool

	esp        uint8
	inet6      uint16
	lengthByte bool // a socket address begins with its length, and a family of one octet
	windowUnit uint32
	wideReqID  bool // of requests in policies
	flows      bool // policies are OpenBSD's flows
	nat        natForm
	types      map[Type]uint8
	extensions map[extension]uint16
}

// natForm is how UDP encapsulation is written.
type natForm uint8

const (
	natExtensions natForm = iota // type and two ports
	natUDPEncap                  // OpenBSD: the peer's port, and a flag of the SA
	natInSA                      // Darwin: a longer SA extension
)

// Flags of SAs.
const (
	openBSDTunnel   = 0x004 // SADB_X_SAFLAGS_TUNNEL
	openBSDUDPEncap = 0x200 // SADB_X_SAFLAGS_UDPENCAP
	darwinNATT      = 0x002 // SADB_X_EXT_NATT
)

// Linux is that of linux/pfkeyv2.h and net/key/af_key.c. Combined-mode ciphers have numbers there, but no SA can be made with them; a
// policy's reqid beyond 0x3fff is replaced by one of the kernel's; HMAC-SHA2-256 is cut to 96 bits, where RFC 4868 says 128.
func Linux() *Dialect {
	return &Dialect{Name: "linux", Order: binary.NativeEndian,
		Ciphers: map[uint16]Cipher{3: {ID: 3}, 12: {ID: 12}, 23: {ID: 22}},
		Integrities: map[uint16]Integrity{2: {3, 20, 12, 12}, 5: {9, 16, 12, 12}, 12: {5, 32, 12, 16}, 13: {6, 48, 24, 24},
			14: {7, 64, 32, 32}},
		MaxWindow: 32, MaxReqID: 0x3fff, Forward: true,
		esp: 3, inet6: 10, windowUnit: 1, wideReqID: true,
		types:      map[Type]uint8{SPDUpdate: 13, SPDAdd: 14, SPDDelete: 15, SPDDump: 18, NewMapping: 23, Migrate: 24},
		extensions: map[extension]uint16{extPolicy: 18, extSA2: 19, extNATType: 20, extNATSrc: 21, extNATDst: 22},
	}
}

// FreeBSD is that of sys/net/pfkeyv2.h of FreeBSD 11 and later, on a little-endian machine. An SA moves by Update with new addresses.
func FreeBSD() *Dialect {
	return &Dialect{Name: "freebsd", Order: binary.LittleEndian,
		Ciphers:     map[uint16]Cipher{12: {ID: 12}, 20: {ID: 20, Salt: 4, AEAD: true}},
		Integrities: map[uint16]Integrity{2: {3, 20, 12, 12}, 12: {5, 32, 16, 16}, 13: {6, 48, 24, 24}, 14: {7, 64, 32, 32}},
		MaxWindow:   4096, MaxReqID: 0x3fff,
		esp: 3, inet6: 28, lengthByte: true, windowUnit: 8,
		types: map[Type]uint8{SPDUpdate: 13, SPDAdd: 14, SPDDelete: 15, SPDDump: 18},
		extensions: map[extension]uint16{extPolicy: 18, extSA2: 19, extNATType: 20, extNATSrc: 21, extNATDst: 22, extWindow: 26,
			extNewSrc: 27, extNewDst: 28},
	}
}

// OpenBSD is that of sys/net/pfkeyv2.h of OpenBSD, on a little-endian machine. Its policies are flows; there is neither a reqid nor
// a migration.
func OpenBSD() *Dialect {
	return &Dialect{Name: "openbsd", Order: binary.LittleEndian,
		Ciphers:     map[uint16]Cipher{3: {ID: 3}, 12: {ID: 12}},
		Integrities: map[uint16]Integrity{2: {3, 20, 12, 12}, 12: {5, 32, 16, 16}, 13: {6, 48, 24, 24}, 14: {7, 64, 32, 32}},
		MaxWindow:   64,
		esp:         2, inet6: 24, lengthByte: true, windowUnit: 1, flows: true, nat: natUDPEncap,
		types: map[Type]uint8{SPDAdd: 12, SPDUpdate: 12, SPDDelete: 13, SPDDump: 16},
		extensions: map[extension]uint16{extSrcMask: 17, extDstMask: 18, extProtocol: 19, extFlowType: 20, extSrcFlow: 21,
			extDstFlow: 22, extUDPEncap: 31},
	}
}

// Darwin is that of bsd/net/pfkeyv2.h of macOS. Its algorithms have numbers of their own. UDP encapsulation is in its private part.
func Darwin() *Dialect {
	return &Dialect{Name: "darwin", Order: binary.LittleEndian,
		Ciphers:     map[uint16]Cipher{3: {ID: 2}, 12: {ID: 12}, 20: {ID: 13, Salt: 4, AEAD: true}, 28: {ID: 14, Salt: 4, AEAD: true}},
		Integrities: map[uint16]Integrity{2: {2, 20, 12, 12}, 12: {6, 32, 16, 16}, 13: {7, 48, 24, 24}, 14: {8, 64, 32, 32}},
		MaxWindow:   255 * 8, MaxReqID: 0x3fff,
		esp: 3, inet6: 30, lengthByte: true, windowUnit: 8, nat: natInSA,
		types:      map[Type]uint8{SPDUpdate: 13, SPDAdd: 14, SPDDelete: 15, SPDDump: 18, Migrate: 26},
		extensions: map[extension]uint16{extPolicy: 18, extSA2: 19, extNewSrc: 27, extNewDst: 28},
	}
}

// number is a type's number in the dialect, 0 when it has none.
func (d *Dialect) number(t Type) uint8 {
	if t >= GetSPI && t <= Dump {
		return uint8(t)
	}
	return d.types[t]
}

// typeOf is the reverse of number, 0 for what is not known. Of two types with one number it is the first.
func (d *Dialect) typeOf(n uint8) Type {
	for t := GetSPI; t <= Migrate; t++ {
		if d.number(t) == n {
			return t
		}
	}
	return 0
}

func (d *Dialect) extNumber(x extension) uint16 {
	if n, ok := common[x]; ok {
		return n
	}
	return d.extensions[x]
}

func (d *Dialect) extOf(n uint16) extension {
	for x, m := range d.extensions {
		if m == n {
			return x
		}
	}
	if x := extension(n); common[x] == n && n != 0 {
		return x
	}
	return 0
}
