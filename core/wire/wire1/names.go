package wire1

import (
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// nameOf returns names[v], or prefix and number for a value without a name here.
func nameOf[T ~uint8 | ~uint16](names map[T]string, prefix string, v T) string {
	if name, ok := names[v]; ok {
		return name
	}
	return fmt.Sprintf("%s_%d", prefix, v)
}

// ExchangeName returns the name that RFC 2409 gives an exchange type, or RFC 2408 where it has none.
func ExchangeName(t wire.ExchangeType) string { return nameOf(exchangeNames, "EXCHANGE", t) }

var exchangeNames = map[wire.ExchangeType]string{
	Base: "BASE", MainMode: "MAIN_MODE", AuthOnly: "AUTHENTICATION_ONLY", Aggressive: "AGGRESSIVE",
	Informational: "INFORMATIONAL", Transaction: "TRANSACTION", QuickMode: "QUICK_MODE", NewGroupMode: "NEW_GROUP_MODE",
}

// PayloadName returns the notation of a payload type (RFC 2408 section 3.1).
func PayloadName(t wire.PayloadType) string { return nameOf(payloadNames, "PAYLOAD", t) }

var payloadNames = map[wire.PayloadType]string{
	TypeNone: "NONE", TypeSA: "SA", TypeProposal: "P", TypeTransform: "T", TypeKE: "KE", TypeID: "ID", TypeCert: "CERT",
	TypeCertReq: "CR", TypeHash: "HASH", TypeSig: "SIG", TypeNonce: "NONCE", TypeNotify: "N", TypeDelete: "D",
	TypeVendorID: "VID", TypeConfig: "ATTR", TypeNATD: "NAT-D", TypeNATOA: "NAT-OA", TypeNATDDraft: "NAT-D_DRAFT",
	TypeNATOADraft: "NAT-OA_DRAFT", TypeFragment: "FRAGMENT",
}

// String returns the RFC's name.
func (p ProtocolID) String() string { return nameOf(protocolNames, "PROTOCOL", p) }

var protocolNames = map[ProtocolID]string{ProtoNone: "NONE", ProtoISAKMP: "ISAKMP", ProtoAH: "AH", ProtoESP: "ESP", ProtoIPCOMP: "IPCOMP"}

// String returns the RFC's name.
func (t IDType) String() string { return nameOf(idNames, "ID", t) }

var idNames = map[IDType]string{
	IDIPv4Addr: "ID_IPV4_ADDR", IDFQDN: "ID_FQDN", IDUserFQDN: "ID_USER_FQDN", IDIPv4Subnet: "ID_IPV4_ADDR_SUBNET",
	IDIPv6Addr: "ID_IPV6_ADDR", IDIPv6Subnet: "ID_IPV6_ADDR_SUBNET", IDIPv4Range: "ID_IPV4_ADDR_RANGE",
	IDIPv6Range: "ID_IPV6_ADDR_RANGE", IDDERASN1DN: "ID_DER_ASN1_DN", IDDERASN1GN: "ID_DER_ASN1_GN", IDKeyID: "ID_KEY_ID",
	12: "ID_LIST", // RFC 3554
}

// String returns the RFC's name.
func (c CertEncoding) String() string { return nameOf(certNames, "CERT", c) }

var certNames = map[CertEncoding]string{
	CertPKCS7: "PKCS #7 wrapped X.509 certificate", CertPGP: "PGP Certificate", CertDNSKey: "DNS Signed Key",
	CertX509Signature: "X.509 Certificate - Signature", CertX509KE: "X.509 Certificate - Key Exchange",
	CertKerberos: "Kerberos Tokens", CertCRL: "Certificate Revocation List", CertARL: "Authority Revocation List",
	CertSPKI: "SPKI Certificate", CertX509Attribute: "X.509 Certificate - Attribute",
}

// String returns the draft's name.
func (k ConfigKind) String() string { return nameOf(configNames, "ISAKMP_CFG", k) }

var configNames = map[ConfigKind]string{
	ConfigRequest: "ISAKMP_CFG_REQUEST", ConfigReply: "ISAKMP_CFG_REPLY", ConfigSet: "ISAKMP_CFG_SET", ConfigAck: "ISAKMP_CFG_ACK",
}

// ConfigAttributeName returns the name of an attribute of mode configuration, XAUTH or Unity.
func ConfigAttributeName(t uint16) string { return nameOf(configAttributeNames, "ATTRIBUTE", t) }

var configAttributeNames = map[uint16]string{
	InternalIP4Address: "INTERNAL_IP4_ADDRESS", InternalIP4Netmask: "INTERNAL_IP4_NETMASK", InternalIP4DNS: "INTERNAL_IP4_DNS",
	InternalIP4NBNS: "INTERNAL_IP4_NBNS", InternalAddressExpiry: "INTERNAL_ADDRESS_EXPIRY", InternalIP4DHCP: "INTERNAL_IP4_DHCP",
	ApplicationVersion: "APPLICATION_VERSION", InternalIP6Address: "INTERNAL_IP6_ADDRESS", InternalIP6Netmask: "INTERNAL_IP6_NETMASK",
	InternalIP6DNS: "INTERNAL_IP6_DNS", InternalIP6NBNS: "INTERNAL_IP6_NBNS", InternalIP6DHCP: "INTERNAL_IP6_DHCP",
	InternalIP4Subnet: "INTERNAL_IP4_SUBNET", SupportedAttributes: "SUPPORTED_ATTRIBUTES", InternalIP6Subnet: "INTERNAL_IP6_SUBNET",
	XAuthType: "XAUTH-TYPE", XAuthUserName: "XAUTH-USER-NAME", XAuthUserPassword: "XAUTH-USER-PASSWORD", XAuthPasscode: "XAUTH-PASSCODE",
	XAuthMessage: "XAUTH-MESSAGE", XAuthChallenge: "XAUTH-CHALLENGE", XAuthDomain: "XAUTH-DOMAIN", XAuthStatus: "XAUTH-STATUS",
	XAuthNextPin: "XAUTH-NEXT-PIN", XAuthAnswer: "XAUTH-ANSWER",
	UnityBanner: "UNITY_BANNER", UnitySavePassword: "UNITY_SAVE_PASSWD", UnityDefaultDomain: "UNITY_DEF_DOMAIN",
	UnitySplitDNS: "UNITY_SPLITDNS_NAME", UnitySplitInclude: "UNITY_SPLIT_INCLUDE", UnityNATTPort: "UNITY_NATT_PORT",
	UnityLocalLAN: "UNITY_LOCAL_LAN", UnityPFS: "UNITY_PFS", UnityFirewallType: "UNITY_FW_TYPE",
	UnityBackupServers: "UNITY_BACKUP_SERVERS", UnityDDNSHostname: "UNITY_DDNS_HOSTNAME",
}
