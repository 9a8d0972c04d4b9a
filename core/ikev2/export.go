package ikev2

import "github.com/parley-ike/parley/core/machine"

// export gives copies of the keys of n, which is this SA or one that it makes, to whoever decrypts captures, when the
// operator wants that.
func (s *SA) export(n *SA) {
	if !s.env.ExportKeys {
		return
	}
	k := n.keys
	s.fx.Add(machine.Export{Keys: machine.Keys{Version: 2, SPIi: n.spii, SPIr: n.spir,
		Encr: uint16(n.suite.Encr), KeyBits: uint16(n.suite.KeyBits), Integ: uint16(n.suite.Integ),
		EncrI: k.EI.Clone(), EncrR: k.ER.Clone(), IntegI: k.AI.Clone(), IntegR: k.AR.Clone()}})
}
