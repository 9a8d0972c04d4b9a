package config

import (
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

func TestWhatTheDataPlaneDoesIsSaid(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]policy.Handling{
		"":                               {},
		`mark = "0x2a"`:                  {Mark: 42, MarkMask: 0xffffffff},
		`mark = "2/0xf"`:                 {Mark: 2, MarkMask: 15},
		`output_mark = "0x10/0xf0"`:      {OutputMark: 16, OutputMarkMask: 0xf0},
		"if_id = 7":                      {IfID: 7},
		"if_id = 7\n interface = \"i0\"": {IfID: 7, Interface: "i0"},
		`df = "clear"`:                   {ClearDF: true},
		`df = "copy"`:                    {},
		"ecn = false":                    {IgnoreECN: true},
		`dscp = "both"`:                  {DSCP: policy.DSCPBoth},
		`offload { mode = "crypto" }`:    {Offload: policy.Offload{Mode: policy.OffloadCrypto}},
		`backend = "offload"`:            {Offload: policy.Offload{Mode: policy.OffloadAuto}},
		"offload {\n device = \"eth0\"\n require = true\n }": {Offload: policy.Offload{Mode: policy.OffloadAuto, Device: "eth0", Required: true}},
	} {
		if got := session(t, "", settings).Children[0].Handling; got != want {
			t.Errorf("%s: %+v, want %+v", settings, got, want)
		}
	}
	if got := session(t, "", "offload {}").Children[0].Backend; got != "offload" {
		t.Errorf("a child with offload is in backend %q", got)
	}
	inside := session(t, `netns = "blue"`, "if_id = 7\n interface = \"i0\"").Children[0].Handling
	if got, want := inside.Words(), []string{"if_id 7", "interface i0", "netns blue"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatPassesInClearAndWhatDoesNotIsSaid(t *testing.T) {
	t.Parallel()
	s, _ := valid(t, `
bypass "ssh" {
  local_ts  = ["192.0.2.1[tcp/22]"]
  remote_ts = ["0.0.0.0/0"]
}
discard "rest" {
  local_ts  = ["10.0.0.0/8"]
  remote_ts = ["10.0.0.0/8"]
}`)
	all := s.Policy.Shunts
	if len(all) != 2 || all[0].Word() != "bypass" || all[1].Word() != "discard" || all[0].LocalTS[0].Protocol != 6 {
		t.Fatalf("%+v", all)
	}
	if c := Diff(s, &Snapshot{Policy: &policy.Snapshot{}}); !c.Shunts || c.Empty() {
		t.Errorf("their removal is no change: %+v", c)
	}
}
