package machine

// Reconfigure is the command to go on with another version of the connection, which differs from the one before in its children
// only. Connection is of the protocol's own kind, *policy.Connection. An SA that is not established yet takes it when it is.
type Reconfigure struct{ Connection any }

func (Reconfigure) input() {}
