package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// session returns the first connection of a configuration with some settings in it.
func session(t *testing.T, settings, child string) *policy.Connection {
	t.Helper()
	s, _ := valid(t, `
connection "west" {
  local  { identity = "east.example.net" }
  remote {
    address = "192.0.2.2"
    identity = "west.example.net"
  }
  `+settings+`
  child "lan" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.2.0.0/16"]
    `+child+`
  }
}
credentials { psk "west.example.net" { file = "west.psk" } }`)
	return s.Policy.Connections[0]
}

func TestHowSAsOfAPeerRelateIsSaidByWords(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]policy.Unique{
		"": policy.UniqueReplace, `unique = "replace"`: policy.UniqueReplace, `unique = "keep"`: policy.UniqueKeep, `unique = "never"`: policy.UniqueNever} {
		if got := session(t, settings, "").Unique; got != want {
			t.Errorf("%q gives %v, want %v", settings, got, want)
		}
	}
}

func TestADeadPeersChildrenAndRetriesAreSaid(t *testing.T) {
	t.Parallel()
	c := session(t, `retry {
    initial = "500ms"
    factor  = 3
    max     = "30s"
    jitter  = 0
  }`, "start = \"up\"\n on_dead = \"clear\"")
	if want := (policy.Retry{Initial: 500 * time.Millisecond, Factor: 3, Max: 30 * time.Second}); c.Retry != want {
		t.Errorf("retry: %+v, want %+v", c.Retry, want)
	}
	if got := c.Children[0].OnDead; got != policy.DeadClear {
		t.Errorf("on_dead: %v", got)
	}
	for start, want := range map[string]policy.OnDead{"none": policy.DeadClear, "up": policy.DeadRestart, "trap": policy.DeadTrap} {
		if got := session(t, "", `start = "`+start+`"`).Children[0].OnDead; got != want {
			t.Errorf("start = %q: on_dead is %v, want %v", start, got, want)
		}
	}
	if got := session(t, "", "").Retry; got != policy.DefaultRetry() {
		t.Errorf("retry without a word: %+v", got)
	}
}

func TestLifetimesAndChildlessInitiationAreSaid(t *testing.T) {
	t.Parallel()
	if c := session(t, "reauth = \"4h\"\n childless = \"prefer\"", ""); c.Reauth != 4*time.Hour || c.Childless != policy.ChildlessPrefer {
		t.Errorf("got %+v", c.Session)
	}
	if c := session(t, "", ""); c.Reauth != 0 || c.Childless != policy.ChildlessAllow {
		t.Errorf("without a word: %+v", c.Session)
	}
}

func TestModePaddingAndSequenceNumbersAreSaid(t *testing.T) {
	t.Parallel()
	if c := session(t, "", "").Children[0]; c.Mode != policy.Tunnel || c.TFC != 0 || !reflect.DeepEqual(c.ESP, policy.DefaultESP()) {
		t.Errorf("without a word: %+v", c)
	}
	if c := session(t, "", "mode = \"tunnel\"\n tfc = 1400").Children[0]; c.TFC != 1400 {
		t.Errorf("tfc: %+v", c)
	}
	if c := session(t, "", `mode = "transport"`).Children[0]; c.Mode != policy.Transport {
		t.Errorf("mode: %+v", c)
	}
	for word, want := range map[string]string{"no": "aes128gcm16", "yes": "aes128gcm16-esn", "both": "aes128gcm16-esn-noesn"} {
		c := session(t, "", "proposals = [\"aes128gcm16\"]\n esn = \""+word+`"`).Children[0]
		if got := c.ESP[0].String(); got != want {
			t.Errorf("esn = %q gives %s, want %s", word, got, want)
		}
	}
}

func TestRedirectsAreSaid(t *testing.T) {
	t.Parallel()
	c := session(t, "follow_redirects = true\n redirect {\n to = \"gw2.example.net\"\n at = \"init\"\n }", "")
	if !c.FollowRedirects || c.RedirectTo != "gw2.example.net" || c.RedirectAt != policy.RedirectInit {
		t.Errorf("got %+v", c.Session)
	}
	if c := session(t, "redirect_grace = \"5m\"", ""); c.RedirectGrace != 5*time.Minute {
		t.Errorf("redirect_grace gives %v", c.RedirectGrace)
	}
	if c := session(t, "", ""); c.FollowRedirects || c.RedirectTo != "" || c.RedirectGrace != 30*time.Second {
		t.Errorf("without a word: %+v", c.Session)
	}
}
