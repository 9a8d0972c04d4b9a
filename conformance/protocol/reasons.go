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
}
