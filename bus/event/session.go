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

// IKERedirected says: a gateway asked a client to go to another one (RFC 5685).
type IKERedirected struct {
	IKE      IKESA  `json:"ike"`
	To       string `json:"to"`       // address or DNS name
	Exchange string `json:"exchange"` // in which it was asked
	By       string `json:"by"`       // "us": we are the gateway; "peer": we are the client
	Result   string `json:"result"`   // "asked"; "followed"; "refused": the client cannot, or was sent around too often
}
