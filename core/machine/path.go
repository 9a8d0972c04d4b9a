package machine

// Path tells an SA whether the peer can be reached from the address that it has: Lost says why not, "" that it can again. The driver
// knows the addresses and routes of the machine.
type Path struct{ Lost string }

func (Path) input() {}
