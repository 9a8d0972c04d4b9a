package wire1

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeVendorID.
func (VendorID) Type() wire.PayloadType { return TypeVendorID }

func (v VendorID) append(b []byte) []byte { return append(b, v.Data...) }

// Vendor is a vendor ID that we know: an extension that its sender speaks, or a product.
type Vendor uint8

// Vendors. The first ones announce extensions that Parley may take up; RFC 2408 section 3.16 forbids to use one before.
const (
	VendorUnknown      Vendor = iota
	VendorNATT                // RFC 3947 section 3.1
	VendorNATTDraft03         // drafts 02 and 03 agree but for their number
	VendorNATTDraft02n        // draft 02, its hash over a line with its end: most of the installed base
	VendorNATTDraft02
	VendorNATTDraft01
	VendorNATTDraft00
	VendorNATTDraft // without a number
	VendorDPD       // RFC 3706 section 5.1
	VendorXAUTH
	VendorUnity
	VendorFragmentation
	VendorInitialContact
	VendorStrongSwan
	VendorLibreswan
	VendorWindows
	VendorCGA
	VendorNegotiationDiscovery
	VendorMamie
	VendorGSSAPI
	VendorRacoon
	VendorCiscoVPN3000
	VendorCheckPoint
	VendorFortiGate
	VendorHeartbeat
	VendorSSH
	vendors
)

// vendorRow describes a vendor ID. What follows the ID is a version or a capability, as the row says.
type vendorRow struct {
	name   string
	id     string // hexadecimal
	suffix bool   // more octets may follow
	parley string // hexadecimal: what follows when we send it
}

// vendorTable has the IDs. Most are the MD5 of a text, which TestVendorIDsAreTheHashesOfTheirTexts repeats.
var vendorTable = [vendors]vendorRow{
	VendorNATT:                 {name: "NAT-T (RFC 3947)", id: "4a131c81070358455c5728f20e95452f"},
	VendorNATTDraft03:          {name: "NAT-T (draft 03)", id: "7d9419a65310ca6f2c179d9215529d56"},
	VendorNATTDraft02n:         {name: `NAT-T (draft 02\n)`, id: "90cb80913ebb696e086381b5ec427b1f"},
	VendorNATTDraft02:          {name: "NAT-T (draft 02)", id: "cd60464335df21f87cfdb2fc68b6a448"},
	VendorNATTDraft01:          {name: "NAT-T (draft 01)", id: "16f6ca16e4a4066d83821a0f0aeaa862"},
	VendorNATTDraft00:          {name: "NAT-T (draft 00)", id: "4485152d18b6bbcd0be8a8469579ddcc"},
	VendorNATTDraft:            {name: "NAT-T (draft)", id: "4df37928e9fc4fd1b3262170d515c662"},
	VendorDPD:                  {name: "DPD", id: "afcad71368a1f1c96b8696fc7757", suffix: true, parley: "0100"},
	VendorXAUTH:                {name: "XAUTH", id: "09002689dfd6b712"},
	VendorUnity:                {name: "Cisco Unity", id: "12f5f28c457168a9702d9fe274cc", suffix: true, parley: "0100"},
	VendorFragmentation:        {name: "FRAGMENTATION", id: "4048b7d56ebce88525e7de7f00d6c2d3", suffix: true, parley: "80000000"},
	VendorInitialContact:       {name: "Vid-Initial-Contact", id: "26244d38eddb61b3172a36e3d0cfb819"},
	VendorStrongSwan:           {name: "strongSwan", id: "882fe56d6fd20dbc2251613b2ebe5beb", suffix: true},
	VendorLibreswan:            {name: "Libreswan", id: "4f452d4c69627265737761", suffix: true}, // "OE-Libreswa" in clear
	VendorWindows:              {name: "Windows", id: "1e2b516905991c7d7c96fcbfb587e461", suffix: true},
	VendorCGA:                  {name: "IKE CGA version 1", id: "e3a5966a76379fe707228231e5ce8652"},
	VendorNegotiationDiscovery: {name: "MS-Negotiation Discovery Capable", id: "fb1de3cdf341b7ea16b7e5be0855f120"},
	VendorMamie:                {name: "MS-MamieExists", id: "214ca4faffa7f32d6748e5303395ae83"},
	VendorGSSAPI:               {name: "GSSAPI", id: "621b04bb09882ac1e15935fefa24aeee"},
	VendorRacoon:               {name: "racoon", id: "7003cbc1097dbe9c2600ba6983bc8b35"},
	VendorCiscoVPN3000:         {name: "Cisco VPN 3000", id: "1f07f70eaa6514d3b0fa96542a", suffix: true},
	VendorCheckPoint:           {name: "Check Point", id: "f4ed19e0c114eb516faaac0ee37daf2807b4381f", suffix: true},
	VendorFortiGate:            {name: "FortiGate", id: "8299031757a36082c6a621de", suffix: true},
	VendorHeartbeat:            {name: "Heartbeat Notify", id: "4865617274426561745f4e6f74696679", suffix: true}, // in clear
	VendorSSH:                  {name: "draft-stenberg-ipsec-nat-traversal-01", id: "27bab5dc01ea0760ea4e3190ac27c0d0"},
}

// vendorIDs holds the octets of vendorTable.
var vendorIDs = func() (ids [vendors][]byte) {
	for v, row := range vendorTable {
		ids[v] = mustHex(row.id)
	}
	return ids
}()

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(fmt.Sprintf("wire1: vendor ID %q is not hexadecimal", s))
	}
	return b
}

// Vendor returns who or what the ID stands for, VendorUnknown when we do not know it.
func (v VendorID) Vendor() Vendor {
	for i := VendorUnknown + 1; i < vendors; i++ {
		id := vendorIDs[i]
		if bytes.Equal(v.Data, id) || vendorTable[i].suffix && bytes.HasPrefix(v.Data, id) {
			return i
		}
	}
	return VendorUnknown
}

// ID returns the payload that announces v as we send it.
func (v Vendor) ID() VendorID {
	if v >= vendors {
		return VendorID{}
	}
	return VendorID{Data: append(bytes.Clone(vendorIDs[v]), mustHex(vendorTable[v].parley)...)}
}

// String returns a name for events and explanations.
func (v Vendor) String() string {
	if v == VendorUnknown || v >= vendors {
		return "unknown"
	}
	return vendorTable[v].name
}

// String names the vendor, or shows the octets of an ID that we do not know, as text where they are some and shortened
// where they are many: for events.
func (v VendorID) String() string {
	const most = 32 // octets: two hashes
	switch vendor := v.Vendor(); {
	case vendor != VendorUnknown:
		return vendor.String()
	case len(v.Data) > most:
		return VendorID{v.Data[:most]}.String() + "..."
	case bytes.ContainsFunc(v.Data, func(c rune) bool { return c < ' ' || c > '~' }):
		return hex.EncodeToString(v.Data)
	}
	return string(v.Data)
}
