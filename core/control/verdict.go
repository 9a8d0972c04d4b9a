package control

import (
	"fmt"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// judge finds the verdict of an attempt.
func (t *tale) judge() {
	failed, isFailed := last[event.IKEFailed](t.a)
	deleted, isDeleted := last[event.IKEDeleted](t.a)
	child, childFailed := last[event.ChildFailed](t.a)
	switch {
	case isFailed:
		t.failed(failed)
	case childFailed && !t.a.hasChild():
		t.childFailed(child, isDeleted, deleted)
	case isDeleted:
		t.deleted(deleted)
	case t.a.up:
		t.isUp(childFailed, child)
	case t.a.over:
		t.fellSilent()
	default:
		t.underWay()
	}
	t.mismatches()
	if r, reason, ok := t.hindered(); ok && !t.a.up {
		t.note("since %s it cannot even be tried again: %s", r.Time.UTC().Format("2006-01-02 15:04:05 UTC"), reason)
	}
}

// failed says why there is no IKE SA.
func (t *tale) failed(e event.IKEFailed) {
	switch {
	case isMethod(e):
		t.otherMethod(e)
		return
	case isEncoding(e):
		t.oddEncoding(e)
		return
	}
	if t.userFailed() {
		return
	}
	switch e.Cause {
	case event.CauseAuthentication:
		t.authentication(e)
	case event.CauseUnknownIdentity:
		t.unknownIdentity(e)
	case event.CauseNoCredential:
		t.noCredential(e)
	case event.CauseNoProposal:
		t.noProposal(e)
	case event.CauseNoConnection:
		t.noConnection()
	case event.CauseInvalidKE:
		t.invalidKE(e)
	case event.CauseTimeout:
		t.timeout(e)
	case event.CauseHalfOpen:
		t.halfOpen(e)
	case event.CausePlugin:
		t.plugin(e.Reason)
	case event.CauseInstall:
		t.install("", e.Reason)
	case event.CauseRedirected, event.CauseRedirectLoop:
		t.redirected(e)
	case event.CauseDuplicate:
		t.duplicate(e)
	case event.CauseNoAddress: // IKEv1, where addresses come before the first child
		t.noAddress(event.ChildFailed{By: e.By, Notify: e.Notify, Reason: e.Reason})
	default:
		t.other(e.Cause, e.By, e.Reason)
	}
}

// childFailed says why the IKE SA has no child SA.
func (t *tale) childFailed(e event.ChildFailed, ended bool, end event.IKEDeleted) {
	switch e.Cause {
	case event.CauseNoProposal:
		t.noChildProposal(e)
	case event.CauseNoSelectors:
		t.noSelectors(e)
	case event.CauseNoAddress:
		t.noAddress(e)
	case event.CauseInstall:
		t.install(e.Name, e.Reason)
	case event.CauseMode:
		t.modes(e)
	case event.CausePlugin:
		t.plugin(e.Reason)
	default:
		t.other(e.Cause, e.By, e.Reason)
	}
	if ended {
		t.note("the IKE SA was established and then deleted by %s: %s", actor(end.By), end.Reason)
		return
	}
	t.note("the IKE SA itself is established (RFC 7296 section 2.21.2)")
}

// authentication: a proof is wrong. A peer that refuses ours does not say whether for the key or for the identity (RFC 7296
// section 2.21.2).
func (t *tale) authentication(e event.IKEFailed) {
	if e.By == "peer" {
		t.refusedByPeer()
		return
	}
	if t.conn.peerSigns {
		t.notConvinced(e)
		return
	}
	if t.ikev1() && t.claimed() == "" {
		t.unreadable()
		return
	}
	t.verdict("wrong_key", "the peer's proof is wrong: its key for %s and ours differ", orDash(t.claimed()))
	if t.psk() {
		t.out.Sentence = clean(fmt.Sprintf("the peer's proof is wrong: its pre-shared key and ours for %s differ", orDash(t.claimed())))
	}
	t.sameKey()
	t.note("both identities were understood; the key is all that differs")
}

// refusedByPeer names all that it can be, the likeliest first: a peer that has proved itself with a pre-shared key has ours.
func (t *tale) refusedByPeer() {
	if t.conn.signs {
		t.signatureRefused()
		return
	}
	_, proved := last[event.AuthSucceeded](t.a)
	if proved && t.psk() {
		t.verdict("auth_refused", "the peer refused to authenticate us, though its own proof is right: likely it does not know us as %s", orDash(t.a.ike.LocalID))
	} else {
		t.verdict("auth_refused", "the peer refused to authenticate us: %s, or it does not know one of the identities that we sent", t.credentialsDiffer())
		t.sameKey()
	}
	t.remedy(t.setting("local.identity"), "have the peer expect us as %s, which we sent, or change our local identity", orDash(t.a.ike.LocalID))
	if id := t.conn.remoteID; t.a.initiator() && id != "" && id != "any" {
		t.remedy(t.setting("remote.identity"), "have the peer call itself %s, which we asked for, or change the remote identity", id)
	}
	if proved && t.psk() {
		t.sameKey()
	}
	t.note("AUTHENTICATION_FAILED answers a wrong key and an unknown identity alike, on purpose (RFC 7296 section 2.21.2); the peer's log knows which it was")
}

func (t *tale) psk() bool { return t.conn.auth == "" || t.conn.auth == "psk" }

func (t *tale) credentialsDiffer() string {
	if t.psk() {
		return "the pre-shared keys differ"
	}
	return "it does not accept our proof"
}

func (t *tale) sameKey() {
	switch {
	case !t.psk():
		t.remedy(t.setting("remote.auth"), "compare the credentials of both sides")
	case t.conn.pskFile == "":
		t.remedy("credentials", "give both sides the same pre-shared key for %s", orDash(t.peerID()))
	default:
		t.remedy(t.conn.pskKey, "give both sides the same pre-shared key for %s; ours is in %s", orDash(t.peerID()), t.conn.pskFile)
	}
}

// peerID is the peer's identity as it calls itself, else as we expect it.
func (t *tale) peerID() string {
	if id := t.claimed(); id != "" {
		return id
	}
	return t.conn.remoteID
}

func (t *tale) unknownIdentity(e event.IKEFailed) {
	claimed := orDash(t.claimed())
	if t.claimed() == "" || strings.HasPrefix(t.conn.auth, "rsaenc") {
		t.illegibleIdentity(e)
		return
	}
	if t.conn.name == "" {
		t.verdict("unknown_identity", "no connection expects a peer that calls itself %s", claimed)
		t.remedy("connection", "set remote { identity = %q } in the connection that is meant for this peer", claimed)
		t.note("%s", e.Reason)
		return
	}
	t.verdict("unknown_identity", "the peer calls itself %s, but %q expects %s", claimed, t.conn.name, t.conn.remoteID)
	t.remedy(t.setting("remote.identity"), "set remote { identity = %q } if that is the peer you mean", claimed)
	t.remedy("", "or have the peer call itself %s", t.conn.remoteID)
}

// illegibleIdentity: with RSA encryption the identity is under a public key of ours, and what another key makes of it is noise (RFC 2409
// section 5.2).
func (t *tale) illegibleIdentity(e event.IKEFailed) {
	t.verdict("unknown_identity", "the peer does not say who it is in a way that we can read")
	if strings.HasPrefix(t.conn.auth, "rsaenc") {
		t.remedy("credentials", "give the peer the public key of %s, the private one of which we have with purpose \"decryption\"", orDash(t.a.ike.LocalID))
		t.remedy(t.setting("remote.identity"), "or have the peer call itself %s", t.conn.remoteID)
	}
	t.note("%s", e.Reason)
}

func (t *tale) noCredential(e event.IKEFailed) {
	if t.conn.signs {
		t.noPrivateKey(e)
		return
	}
	peer := orDash(t.peerID())
	t.verdict("no_credential", "we have no credential for %s", peer)
	if t.conn.pskFile == "" {
		t.remedy("credentials", "add credentials { psk %q { file = \"NAME.psk\" } }", peer)
	} else {
		t.remedy(t.conn.pskKey, "see that the credential plugin can read %s, and that the entry names %s", t.conn.pskFile, peer)
	}
	t.note("%s", e.Reason)
}

// typical lists go with a refusal that does not say what the peer wants.
var typical = map[string]string{
	"ike": `typical lists: "aes256-sha256-prfsha256-modp2048" (most firewalls and clouds), "aes128gcm16-prfsha256-ecp256" (newer ones), ` +
		`"aes256-sha1-prfsha1-modp1024" (Windows, Azure and older routers as they come; weak)`,
	"child": `typical lists: "aes256-sha256" (most firewalls and clouds), "aes128gcm16" and "aes256gcm16" (newer ones), ` +
		`"aes256-sha1" (Windows and older routers as they come; weak)`,
}

func (t *tale) noProposal(e event.IKEFailed) {
	mismatch, told := last[event.ProposalMismatch](t.a)
	switch {
	case e.By == "peer" && e.Stage == stageAuth:
		t.refusedWhole()
	case !told:
		t.verdict("bad_answer", "the peer answered with an IKE suite that we did not offer")
		t.remedy(t.proposals(""), "offer a single proposal, the one that the peer's configuration names")
		t.note("%s", e.Reason)
	case e.By == "peer":
		t.verdict("proposal_refused", "the peer accepts none of our IKE proposals, or has no connection for our address")
		t.offerMore("", "IKE")
		t.remedy(t.setting("local.address"), "or see that the peer has a connection for %s, from where we ask", t.a.ike.Local.Addr())
		t.silentRefusal("ike")
		t.note("the refusal is not protected: anyone could have sent it, so that we went on asking for a while (RFC 7296 section 2.21.1)")
	default:
		t.verdict("proposal_mismatch", "the peer's IKE proposals and ours have nothing in common: they differ in %s", differing(mismatch))
		t.remedy(t.proposals(""), "%s", mismatch.Closest)
	}
}

// stageAuth is the exchange that proposes the first child.
const stageAuth = "IKE_AUTH"

// refusedWhole: the IKE suite was agreed, and then the peer refused the whole IKE_AUTH with NO_PROPOSAL_CHOSEN, as some do when
// only the child cannot be (RFC 7296 section 1.2 would keep the IKE SA).
func (t *tale) refusedWhole() {
	child := append(t.conn.children, "NAME")[0]
	t.verdict("child_proposal_refused", "the peer accepts none of our ESP proposals for child %q: it refused all of IKE_AUTH with NO_PROPOSAL_CHOSEN", child)
	t.offerMore(child, "ESP")
	t.silentRefusal("child")
}

func (t *tale) noChildProposal(e event.ChildFailed) {
	mismatch, told := last[event.ProposalMismatch](t.a)
	switch {
	case !told || mismatch.Scope != "child":
		t.verdict("child_bad_answer", "the peer answered for child %q with a suite that we did not offer", e.Name)
		t.remedy(t.proposals(e.Name), "offer a single proposal, the one that the peer's configuration names")
		t.note("%s", e.Reason)
	case e.By == "peer":
		t.verdict("child_proposal_refused", "the peer accepts none of our ESP proposals for child %q", e.Name)
		t.offerMore(e.Name, "ESP")
		t.silentRefusal("child")
	default:
		t.verdict("child_proposal_mismatch", "the peer's ESP proposals and those of child %q have nothing in common: they differ in %s", e.Name, differing(mismatch))
		t.remedy(t.proposals(e.Name), "%s", mismatch.Closest)
	}
}

func (t *tale) offerMore(child, scope string) {
	t.remedy(t.proposals(child), "set proposals to what the peer's configuration names for %s, or set profile = \"compatible\" to offer also what Windows, Azure and older routers want", scope)
}

func (t *tale) silentRefusal(scope string) {
	t.note("NO_PROPOSAL_CHOSEN does not tell what the peer wants (RFC 7296 section 3.10.1); its log and its configuration do")
	if t.ikev1() && scope == "ike" {
		t.note("%s", typicalPhase1)
		return
	}
	t.note("%s", typical[scope])
}

func (t *tale) noConnection() {
	local, remote := t.a.ike.Local.Addr(), t.a.ike.Remote.Addr()
	t.verdict("no_connection", "no connection is configured between %v and %v", local, remote)
	if t.conn.name != "" {
		t.remedy(t.setting("local.address"), "%q is for our address %s: set it to %v, or have the peer ask there", t.conn.name, t.conn.local, local)
		return
	}
	t.remedy("", "add a connection with remote { address = %q }", remote.String())
}

func (t *tale) invalidKE(e event.IKEFailed) {
	ke, ok := last[event.InvalidKE](t.a)
	if !ok || e.By != "peer" {
		t.verdict("invalid_ke", "the peer's answer uses another key exchange method than our request")
		t.remedy(t.proposals(""), "offer the one method that the peer's configuration names")
		return
	}
	t.verdict("invalid_ke", "the peer insists on key exchange method %s, which %q does not offer", ke.Wanted, t.conn.name)
	t.remedy(t.proposals(""), "add %s to our ike proposals, or have the peer accept %s", token(ke.Wanted), token(ke.Sent))
}

// token is the configuration's word for a key exchange method of IANA: "x25519", "ecp256", "modp2048".
func token(method string) string {
	s := strings.ToLower(strings.ReplaceAll(method, "_", ""))
	if n, ok := strings.CutPrefix(s, "curve"); ok {
		return "x" + n
	}
	return s
}

// portNAT is where IKE goes behind a NAT (RFC 7296 section 2.23).
const portNAT = 4500

func (t *tale) timeout(e event.IKEFailed) {
	gone, ok := last[event.RetransmitTimedOut](t.a)
	remote := t.a.ike.Remote
	if !ok {
		t.other(e.Cause, e.By, e.Reason)
		return
	}
	sent := fmt.Sprintf("%s of %s in %s", count(gone.Sent, "packet"), gone.Exchange, gone.For)
	switch {
	case !gone.Heard:
		t.verdict("silent_peer", "%v never answered: we sent %s and nothing came back; likely a firewall stops UDP %d, or no IKE daemon runs there", remote, sent, remote.Port())
		t.remedy(t.setting("remote.address"), "see that %v is the peer's address, that its IKE daemon runs, and that firewalls let UDP 500 and 4500 pass both ways", remote.Addr())
	case t.ikev1() && t.psk():
		t.silentInPhase1(gone, sent)
	case gone.Remote.Port() == portNAT:
		t.verdict("port_4500_blocked", "%v answered on UDP 500, but not on UDP 4500: we sent %s; likely a firewall stops UDP 4500", remote.Addr(), sent)
		t.remedy("", "let UDP 4500 pass both ways between %v and %v", t.a.ike.Local.Addr(), remote.Addr())
		if _, nat := last[event.NATDetected](t.a); nat {
			t.note("a NAT is on the way, so that IKE and ESP go to UDP 4500 (RFC 7296 section 2.23)")
			return
		}
		t.remedy(t.setting("mobike"), "or set mobike = false: without it IKE stays on UDP 500, for no NAT is on the way (RFC 4555 section 3.3)")
	default:
		t.verdict("silent_after_answer", "%v answered at first and then fell silent: we sent %s", remote.Addr(), sent)
		t.remedy("", "read the peer's log: it may have refused us without an answer")
		t.remedy("", "or large packets are lost on the way: %s is long, and a firewall may drop IP fragments", gone.Exchange)
	}
}

func (t *tale) halfOpen(e event.IKEFailed) {
	if e.By != "peer" {
		t.plugin(e.Reason)
		return
	}
	remote := t.a.ike.Remote.Addr()
	t.verdict("half_open", "%v began and we answered, but it did not go on to IKE_AUTH", remote)
	if t.ikev1() {
		t.verdict("half_open", "%v began and we answered, but it did not go on", remote)
	}
	t.remedy("", "let UDP 500 and 4500 pass both ways between %v and %v: our answers may be lost, or UDP 4500 is blocked", t.a.ike.Local.Addr(), remote)
	t.remedy("", "or read the peer's log: it may not have liked our answer")
}

func (t *tale) plugin(reason string) {
	t.verdict("plugin", "a plugin failed: %s", reason)
	if strings.Contains(reason, machine.Unsupported.String()+":") {
		t.remedy(t.proposals(""), "take out of our proposals what no plugin provides (`parley plugin list` shows what they do), or add a plugin that does")
	}
	for _, r := range t.ailing() {
		p, _ := troubled(r.Event)
		t.note("%s (%s)", Sentence(r.Event), r.Time.UTC().Format("15:04:05"))
		t.remedy("plugin."+p.Name, "see the daemon's log for plugin %s, and `parley plugin list`", p.Name)
	}
	t.remedy("", "see `parley plugin list` and the daemon's log; when the plugin is up, try `parley up %s`", orDash(t.conn.name))
}

func (t *tale) install(child, reason string) {
	name, backend := child, "the SA backend"
	if e, ok := last[event.ChildInstallFailed](t.a); ok {
		name, reason = e.Name, e.Reason
		if e.Backend != "" {
			backend = "SA backend " + e.Backend
		}
	}
	if name == "" {
		t.verdict("install", "%s failed: %s", backend, reason)
		name = append(t.conn.children, "NAME")[0]
	} else {
		t.verdict("install", "%s did not install child %q: %s", backend, name, reason)
	}
	for _, r := range t.ailing() {
		t.note("%s (%s)", Sentence(r.Event), r.Time.UTC().Format("15:04:05"))
	}
	t.remedy(t.setting("child."+name+".backend"), "see `parley plugin list` and `parley status` for the backend and its privileges, or choose another backend")
}

// causes are the codes of what needs no look at more than the reason.
var causes = map[event.Cause]string{event.CauseOperator: "stopped", event.CauseTimeout: "silent_peer"}

func (t *tale) other(cause event.Cause, by, reason string) {
	code := string(cause)
	if c, ok := causes[cause]; ok {
		code = c
	}
	t.verdict(code, "%s", reason)
	switch cause {
	case event.CauseOperator:
		t.remedy("", "`parley up %s` tries again", orDash(t.conn.name))
	case event.CauseReplaced:
	default:
		if by == "peer" {
			t.remedy("", "read the peer's log: it refused")
			return
		}
		t.remedy("", "read the peer's configuration and its log; `parley events tail --severity debug` shows the next attempt")
	}
}

func (t *tale) deleted(e event.IKEDeleted) {
	switch e.By {
	case "operator":
		t.verdict("stopped", "it was up and the operator took it down: %s", e.Reason)
		t.remedy("", "`parley up %s` brings it up again", orDash(t.conn.name))
	case "peer":
		t.verdict("deleted_by_peer", "it was up and the peer deleted it")
		t.remedy("", "read the peer's log for the reason; `parley up %s` brings it up again", orDash(t.conn.name))
	case "replaced":
		t.replaced(e)
	case "expired":
		t.expired(e)
	case "rekey":
		t.rekeyed(e)
	case "redirect":
		t.moved(e)
	case "liveness":
		if lost, ok := t.unreachable(); ok {
			t.verdict("peer_unreachable", "it was up, and then %v could not be reached from here: %s", lost.Remote, lost.Reason)
			t.wayBack()
			return
		}
		t.verdict("peer_dead", "it was up, and then %v stopped answering: %s", t.a.ike.Remote, e.Reason)
		t.remedy("", "see that the peer runs and that the way to it is open; a NAT that forgot us shows the same")
	default:
		t.verdict("broken", "it was up and ended by an error: %s", e.Reason)
		t.remedy("", "read the peer's log; `parley up %s` brings it up again", orDash(t.conn.name))
	}
}

func (t *tale) isUp(childFailed bool, child event.ChildFailed) {
	t.verdict("up", "it is up, since %s", t.since())
	if lost, ok := t.unreachable(); ok {
		t.verdict("peer_unreachable", "it is up, but %v cannot be reached from here: %s", lost.Remote, lost.Reason)
		t.wayBack()
	}
	if childFailed {
		t.note("child %q failed: %s", child.Name, child.Reason)
	}
}

func (t *tale) since() string {
	for _, r := range t.a.events() {
		switch r.Event.(type) {
		case event.IKEEstablished, event.IKERekeyed:
			return r.Time.UTC().Format("2006-01-02 15:04:05 UTC")
		}
	}
	return t.a.begun.UTC().Format("2006-01-02 15:04:05 UTC")
}

// fellSilent: the SA is gone without a word: we asked the peer to start again (RFC 7296 section 1.2).
func (t *tale) fellSilent() {
	ke, ok := last[event.InvalidKE](t.a)
	if !ok {
		t.verdict("unknown", "the attempt ended without a reason that we know of")
		return
	}
	t.verdict("invalid_ke", "the peer began with key exchange method %s; we asked it to start again with %s, and it has not", ke.Sent, ke.Wanted)
	t.remedy(t.proposals(""), "put %s first in the peer's proposals, or add %s to our ike proposals", token(ke.Wanted), token(ke.Sent))
}

func (t *tale) underWay() {
	if sent := t.out.Attempt.Sent; sent > 1 {
		t.verdict("under_way", "it is being tried: we sent %s and wait for an answer from %v", count(int(sent), "packet"), t.a.ike.Remote)
		t.remedy(t.setting("remote.address"), "if nothing comes: see that %v is the peer's address, that its IKE daemon runs, and that firewalls let UDP 500 and 4500 pass both ways", t.a.ike.Remote.Addr())
		return
	}
	t.verdict("under_way", "it is being tried; state: %s", orDash(t.a.state))
}

func (t *tale) neverTried() {
	if _, reason, ok := t.hindered(); ok {
		t.verdict("peer_unreachable", "it cannot even be tried: %s", reason)
		t.remedy(t.setting("remote.address"), "see that remote is the peer's address, and that this machine has an address and a route to it")
		return
	}
	t.verdict("never_tried", "nobody has tried to bring it up since the daemon started")
	child := "NAME"
	if len(t.conn.children) > 0 {
		child = t.conn.children[0]
	}
	t.remedy(t.setting("child."+child+".start"), "run `parley up %s`, or set start = \"up\" in child %q to have it tried at start", t.conn.name, child)
	if t.conn.remote == "any" {
		t.out.Remedy.Text = clean("it has no remote address, so that the peer must begin: see that it does, or set remote { address }")
	}
}

// setting is the key of one of the connection's settings.
func (t *tale) setting(name string) string {
	if t.conn.name == "" {
		return ""
	}
	return "connection." + t.conn.name + "." + name
}

// proposals is the key of the setting that decides the proposals, of the connection or of a child: proposals, else profile.
func (t *tale) proposals(child string) string {
	scope := ""
	if child != "" {
		scope = "child." + child + "."
	}
	key := t.setting(scope + "proposals")
	if profile := t.setting(scope + "profile"); key != "" && t.config != nil && t.config.Where(key) == t.config.Where(t.setting(strings.TrimSuffix(scope, "."))) {
		return profile
	}
	return key
}

// differing names the kinds of transform that differ in the nearest pair of proposals.
func differing(e event.ProposalMismatch) string {
	best, _ := pairs(comparison(e).Verdicts)
	var types []string
	for _, v := range best {
		if !v.Ok {
			types = append(types, v.Type)
		}
	}
	if len(types) == 0 {
		return "everything"
	}
	return strings.Join(types, " and ")
}
