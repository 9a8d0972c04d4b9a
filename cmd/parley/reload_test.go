package main

import (
	"testing"

	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func TestReloadSaysWhatBecomesOfSAs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		c            *controlv1.ChangedConnection
		happens, dry string
	}{
		{&controlv1.ChangedConnection{}, "", ""},
		{&controlv1.ChangedConnection{IkeSas: 1}, ", 1 IKE SA is deleted", ", 1 IKE SA would be deleted"},
		{&controlv1.ChangedConnection{IkeSas: 2}, ", 2 IKE SAs are deleted", ", 2 IKE SAs would be deleted"},
		{&controlv1.ChangedConnection{KeptIkeSas: 1, ChildSas: 1}, ", 1 child SA is deleted or replaced, the IKE SA stays", ", 1 child SA would be deleted or replaced, the IKE SA stays"},
		{&controlv1.ChangedConnection{KeptIkeSas: 1}, ", no SA is touched", ", no SA is touched"},
	} {
		if got := fate(false, tt.c); got != tt.happens {
			t.Errorf("%v: %q, want %q", tt.c, got, tt.happens)
		}
		if got := fate(true, tt.c); got != tt.dry {
			t.Errorf("%v, dry run: %q, want %q", tt.c, got, tt.dry)
		}
	}
}
