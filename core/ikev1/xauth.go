package ikev1

// This file is extended authentication (draft-beaulieu-ike-xauth-02), in which we take no part yet.

// askedXAuth takes a transaction of the peer's that is about extended authentication.
func (s *SA) askedXAuth(a *asked) { a.reply(nil) }
