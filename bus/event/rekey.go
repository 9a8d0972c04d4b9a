package event

func (IKERekeyed) Kind() Kind        { return Kind{1004, "ike_sa.rekeyed", Info, Success} }
func (IKEExpired) Kind() Kind        { return Kind{1008, "ike_sa.expired", Warning, Failure} }
func (IKERekeyCollision) Kind() Kind { return Kind{1012, "ike_sa.rekey_collision", Info, Unknown} }
func (ChildRekeyed) Kind() Kind      { return Kind{1102, "child_sa.rekeyed", Info, Success} }
func (ChildExpired) Kind() Kind      { return Kind{1105, "child_sa.expired", Warning, Failure} }

// IKERekeyed says: a new IKE SA took the place of another, its child SAs included (RFC 7296 section 2.18). It is the first event
// of the new one.
type IKERekeyed struct {
	IKE  IKESA  `json:"ike"`  // the new one
	Prev UID    `json:"prev"` // the one that it replaces
	By   string `json:"by"`   // "us" or "peer": who began
}

// IKERekeyCollision says: both sides rekeyed the IKE SA at the same time; one of the two new ones is redundant (RFC 7296
// section 2.8.2).
type IKERekeyCollision struct {
	Kept UID    `json:"kept"`
	By   string `json:"by"` // "us" or "peer": whose survives
}

// IKEExpired says: an IKE SA reached the end of its lifetime, because it could not be rekeyed before.
type IKEExpired struct {
	IKE      IKESA  `json:"ike"`
	Lifetime string `json:"lifetime"` // "4h0m0s"
}

// ChildRekeyed says: a new child SA took the place of another (RFC 7296 section 2.8). It stands in place of ChildEstablished.
type ChildRekeyed struct {
	Child ChildSA `json:"child"` // the new one
	Prev  UID     `json:"prev"`  // the one that it replaces
	By    string  `json:"by"`    // "us" or "peer": who began
}

// ChildExpired says: a child SA reached the end of its lifetime, because it could not be rekeyed before.
type ChildExpired struct {
	Child ChildSA `json:"child"`
	Cause string  `json:"cause"` // "time", "bytes", "packets" or "sequence numbers"
}
