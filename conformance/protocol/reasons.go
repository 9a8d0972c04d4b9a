package protocol

// reason says why requirements are not tested.
type reason struct {
	state state
	why   string
	ids   string // with blanks between
}

// reasons are for requirements that no case and no other test names. A test fails when one of them is tested after all.
var reasons = []reason{
	{notYet, "traps do not pass on the addresses and ports of the packet (SHOULD)", `RFC7296-2.9-1 RFC7296-2.9.2-4 RFC7296-2.23.1-2`},
	{notYet, "no certificate is fetched by hash and URL: a stranger would choose where our requests go; who sends one is told to send the certificate itself", `RFC7296-3.6-3 RFC7296-3.6-5`},
	{doesNotApply, "no certificate is fetched by URL or sent in another encoding than X.509: those that come so are ignored", `RFC7296-3.7-1`},
	{doesNotApply, "EAP is not spoken, which is for an implementation to choose; who asks for it gets AUTHENTICATION_FAILED (the case on IKE_AUTH without AUTH)", `RFC7296-2.16-2
		RFC7296-2.16-3 RFC7296-2.16-4 RFC7296-2.16-5 RFC7296-2.16-6 RFC7296-2.16-7 RFC7296-2.16-8
		RFC7296-2.16-9 RFC7296-3.16-1 RFC7296-3.16-3 RFC7296-3.16-4 RFC7296-3.16-5 RFC7296-5-3 RFC7296-5-4`},
	{doesNotApply, "neither the kernel nor another SA backend tells of ESP with an unknown SPI; what comes in clear must not make us send (SHOULD)", `RFC7296-2.21.4-6 RFC7296-2.21.4-7`},
	{notYet, "the path MTU is not learnt from ICMP (SHOULD): a datagram has 1280 octets at most, or what is configured, and fewer when it does not arrive", `RFC7383-2.5.1-2 RFC7383-2.5.2-5`},
	{doesNotApply, "no message has payloads in clear beside the Encrypted payload", `RFC7383-2.5.3-1`},
	{doesNotApply, "a connection has one address of its peer, or one name: there are no pairs to try (SHOULD)", `RFC4555-3.1-1`},
	{notYet, "neither ICMP nor INVALID_SPI in clear makes us ask whether the peer lives (SHOULD); its silence does", `RFC4555-5.3-1`},
	{unseen, "in the time of a case: core/ikev2 waits five minutes (movePatience)", `RFC4555-3.11-1`},

	{doesNotApply, "a child SA is removed in both directions at once, so that none is half closed, and its SPI is free only then", `RFC7296-1.4.1-6`},
	{doesNotApply, "one daemon holds all child SAs of an IKE SA: they do not fail independently", `RFC7296-2.4-7`},
	{doesNotApply, "version 2 is the only and the highest one", `RFC7296-2.5-4 RFC7296-2.5-6`},
	{doesNotApply, "groups are code: a new one comes with a ke plugin, not by configuration (SHOULD)", `RFC7296-3.3.4-1`},
	{doesNotApply, "RFC 6311 is not spoken", `RFC7383-3-1`},

	{unseen, "of a daemon that has no preference of its own beyond its configuration: proposals are sent in the order in which they are written", `RFC7296-3.3-1`},
	{unseen, "a matter of configuration: proposals of a connection, which core/config tests", `RFC7296-3.3.4-2`},
	{unseen, "on the wire of IKE: plugins/sa/xfrm and plugins/sa/userspace accept ESP in both forms; no test names it", `RFC7296-2.23-4 RFC7296-2.23-10`},
	{unseen, "as one thing: the cases on offers and passed-over transforms show it for each type", `RFC7296-3.3.3-1`},

	{doesNotApply, "NO-PROPOSAL-CHOSEN answers every offer that cannot be taken: its transforms may each lack something else (SHOULD)",
		`RFC2407-4.2.2-2 RFC2407-4.2.3-2 RFC2407-4.5.2-2 RFC2407-4.5.3-1`},
	{doesNotApply, "the commit bit is never set", `RFC2408-3.1-7`},
	{doesNotApply, "no situation but SIT_IDENTITY_ONLY is offered", `RFC2407-4.2.1-3`},
	{doesNotApply, "a Delete of an authenticated peer is carried out, whatever it says of what we do not have is ignored", `RFC2408-5.15-5`},
	{unseen, "a certificate of whichever authority is asked for, once", `RFC2408-3.10-4`},
	{doesNotApply, "AH is not spoken: an offer with it is refused (the case on unacceptable ESP offers)", `RFC2407-4.4.1.2-1 RFC2407-4.4.3-1 RFC2407-4.4.3.1-1 RFC2407-4.4.3.2-1`},
	{doesNotApply, "ESP without encryption is not offered and not taken", `RFC2407-4.4.4.11-1 RFC2407-4.5-4`},
	{doesNotApply, "DES, MD5, Tiger, DSS, RC5 and the groups 1, 3 and 4 are broken: RFC 8247 and RFC 8221 forbid them. Of the historic baseline RSA, 3DES, AES and SHA are there", `RFC2407-4.4.4.2-1 RFC2409-4-9 RFC2409-4-10 RFC2409-5.1-2
		RFC2409-6.1-1 RFC2409-6.3-1 RFC2409-6.4-1 RFC2409-B-4`},
	{unseen, "with the settings of a case: group 2 is in the profile \"compatible\" (core/policy)", `RFC2409-6.2-1`},
	{doesNotApply, "one DOI is spoken, that of IPsec (SHOULD); others are refused", `RFC2408-2.1-1`},
	{doesNotApply, "of the default exchanges those of IKE are spoken (RFC 2409 section 5): neither base nor authentication only (SHOULD)", `RFC2408-4.1-3 RFC2408-4.4-1 RFC2408-4.6-1`},
	{doesNotApply, "new group mode is refused (SHOULD): nobody should choose a group that we cannot judge", `RFC2409-5-4 RFC2409-5.6-2`},
	{unseen, "with the settings of a case: it is sent for a child without a replay window (core/ikev1)", `RFC2407-4.6.3.2-1`},
	{unseen, "a cookie of ours is a random number with which an SA is kept: that only we can have made it, the SA knows", `RFC2408-2.5.3-1`},
	{unseen, "what is in memory: core/ikev1 wipes it (phase1.wipe)", `RFC2409-5.3-3`},
	{unseen, "what sends ESP: package suite derives the keys, and conformance/interop shows that kernels agree", `RFC2409-B-1 RFC2409-5.5-8 RFC2409-3.3-1`},
	{notYet, "an ISAKMP SA is not deleted after its one child was made (perfect forward secrecy of identities)", `RFC2409-10-1`},
	{unseen, "a matter of configuration: keys belong to identities, and one for all peers is what an operator writes", `RFC3947-8-1`},
	{doesNotApply, "L2TP is not spoken", `RFC3948-1-1`},
	{unseen, "on the wire of IKE: ESP in UDP, its checksums and addresses are the SA backends'; conformance/interop shows tunnel mode through NATs, no test names these",
		`RFC3948-1-2 RFC3948-2.1-2 RFC3948-2.1-3 RFC3948-2.3-2 RFC3948-2.3-3 RFC3948-3.1.1-1 RFC3948-3.1.2-1 RFC3948-3.1.2-2 RFC3948-3.1.2-3`},
	{notYet, "clients behind one NAT that claim the same inner addresses are told apart by nobody: IKEv1 leases them only in mode configuration", `RFC3948-5.1-1 RFC3948-5.1-2 RFC3948-5.2-1 RFC3948-5.2-2`},
}
