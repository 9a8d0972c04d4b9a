package wire1

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// ConfigKind is the type of an Attributes payload (draft-dukes-ike-mode-cfg-02 section 3.3).
type ConfigKind uint8

// Kinds of Attributes payload (draft-dukes-ike-mode-cfg-02 section 3.3).
const (
	ConfigRequest ConfigKind = 1
	ConfigReply   ConfigKind = 2
	ConfigSet     ConfigKind = 3
	ConfigAck     ConfigKind = 4
)

// Configuration attributes (draft-dukes-ike-mode-cfg-02 section 3.4).
const (
	InternalIP4Address    uint16 = 1
	InternalIP4Netmask    uint16 = 2
	InternalIP4DNS        uint16 = 3
	InternalIP4NBNS       uint16 = 4
	InternalAddressExpiry uint16 = 5
	InternalIP4DHCP       uint16 = 6
	ApplicationVersion    uint16 = 7
	InternalIP6Address    uint16 = 8
	InternalIP6Netmask    uint16 = 9
	InternalIP6DNS        uint16 = 10
	InternalIP6NBNS       uint16 = 11
	InternalIP6DHCP       uint16 = 12
	InternalIP4Subnet     uint16 = 13
	SupportedAttributes   uint16 = 14
	InternalIP6Subnet     uint16 = 15
)

// Attributes of extended authentication (draft-beaulieu-ike-xauth-02 section 7.2).
const (
	XAuthType         uint16 = 16520
	XAuthUserName     uint16 = 16521
	XAuthUserPassword uint16 = 16522
	XAuthPasscode     uint16 = 16523
	XAuthMessage      uint16 = 16524
	XAuthChallenge    uint16 = 16525
	XAuthDomain       uint16 = 16526
	XAuthStatus       uint16 = 16527
	XAuthNextPin      uint16 = 16528
	XAuthAnswer       uint16 = 16529
)

// Values of XAuthType and XAuthStatus (draft-beaulieu-ike-xauth-02 sections 7.2 and 7.3).
const (
	XAuthGeneric    = 0
	XAuthRADIUSCHAP = 1
	XAuthOTP        = 2
	XAuthSKEY       = 3

	XAuthFail = 0
	XAuthOK   = 1
)

// Attributes of Cisco's Unity clients, private to peers that sent that vendor ID.
const (
	UnityBanner        uint16 = 28672
	UnitySavePassword  uint16 = 28673
	UnityDefaultDomain uint16 = 28674
	UnitySplitDNS      uint16 = 28675
	UnitySplitInclude  uint16 = 28676
	UnityNATTPort      uint16 = 28677
	UnityLocalLAN      uint16 = 28678
	UnityPFS           uint16 = 28679
	UnityFirewallType  uint16 = 28680
	UnityBackupServers uint16 = 28681
	UnityDDNSHostname  uint16 = 28682
)

// Type returns TypeConfig.
func (Config) Type() wire.PayloadType { return TypeConfig }

func parseConfig(r *wire.Reader) Config {
	// Type (1), RESERVED (1), Identifier (2), Attributes: draft-dukes-ike-mode-cfg-02 section 3.2.
	c := Config{Kind: ConfigKind(r.U8())}
	parseReserved(r, 1)
	c.Identifier = r.U16()
	c.Attributes, _ = parseAttributes(r, nil, MaxConfigAttributes)
	return c
}

func (c Config) append(b []byte) []byte {
	b = append(b, byte(c.Kind), 0)
	b = binary.BigEndian.AppendUint16(b, c.Identifier)
	return appendAttributes(b, c.Attributes)
}
