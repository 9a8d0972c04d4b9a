package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk/secret"
)

type holder struct {
	Name string
	Key  secret.Bytes
}

func TestNoRenderingShowsTheBytes(t *testing.T) {
	t.Parallel()
	h := holder{Name: "k", Key: secret.Bytes("hunter2")}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", h.Key)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", h.Key)
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, leak := range []string{"hunter2", "68756e74", "104 117", "aHVudGVyMg"} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(leak)) {
			t.Errorf("rendering shows %q:\n%s", leak, out.String())
		}
	}
}

func TestGobKeepsTheBytesForTheJournal(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(holder{Key: secret.Bytes("hunter2")}); err != nil {
		t.Fatal(err)
	}
	var got holder
	if err := gob.NewDecoder(&buf).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !got.Key.Equal([]byte("hunter2")) {
		t.Error("the secret did not survive the journal's encoding")
	}
}

func TestWipeOverwrites(t *testing.T) {
	t.Parallel()
	b := secret.Bytes("hunter2")
	b.Wipe()
	if !b.Equal(make([]byte, 7)) {
		t.Error("bytes remain after Wipe")
	}
}
