package serve

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/parley-ike/parley/sdk/proto/link"
)

// newLogHandler returns a handler that writes hclog's JSON, one record a line, which the daemon reads from standard error.
func newLogHandler(w io.Writer) slog.Handler {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(os.Getenv(link.EnvLogLevel))) // unset or unknown: info
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: toHclog})
}

// toHclog renames the built-in attributes of a record.
func toHclog(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("@timestamp", a.Value.Time().Format(time.RFC3339Nano))
	case slog.LevelKey:
		return slog.String("@level", strings.ToLower(a.Value.String()))
	case slog.MessageKey:
		a.Key = "@message"
	}
	return a
}
