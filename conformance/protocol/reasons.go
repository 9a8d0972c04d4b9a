package protocol

// reason says why requirements are not tested.
type reason struct {
	state state
	why   string
	ids   string // with blanks between
}

// reasons are for requirements that no case and no other test names. A test fails when one of them is tested after all.
var reasons = []reason{}
