package event

// IKEUniqueness says: of two IKE SAs between the same identities this one gives way, or is not made.
type IKEUniqueness struct {
	IKE    IKESA  `json:"ike"`
	Policy string `json:"policy"` // "replace", "keep" or "initial_contact"
	Stays  UID    `json:"stays"`  // the other one
}

// IKEReauthenticated says: this IKE SA took over the children of another, whose peer it authenticated anew.
type IKEReauthenticated struct {
	IKE IKESA `json:"ike"`
	Old UID   `json:"old"`
}
