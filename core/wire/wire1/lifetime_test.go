package wire1

import "testing"

// RFC 2407 section 4.6.3.1: the data of RESPONDER-LIFETIME is a list of attributes.
func TestAttributesOfANotifyAreRead(t *testing.T) {
	t.Parallel()
	want := []Attribute{NumberAttribute(AttrSALifeType, LifeSeconds), NumberAttribute(AttrSALifeDuration, 86400)}
	n := Notify{Kind: ResponderLifetime, Data: appendAttributes(nil, want)}
	got, ok := n.Attributes()
	if !ok || len(got) != 2 {
		t.Fatalf("%v, %v", got, ok)
	}
	if v, _ := FindNumber(got, AttrSALifeDuration); v != 86400 {
		t.Errorf("duration %d", v)
	}
	for cut := 1; cut < len(n.Data); cut++ {
		if cut == 4 { // the first attribute alone
			continue
		}
		if _, ok := (Notify{Data: n.Data[:cut]}).Attributes(); ok {
			t.Errorf("%d octets of %d are read", cut, len(n.Data))
		}
	}
}
