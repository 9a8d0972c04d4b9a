package pluginhost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Limits of what a plugin can put into our log.
const (
	maxLogLine   = 8 << 10 // octets; the rest of a longer line is left out
	maxLogFields = 32
)

// logPump carries a plugin's standard error into the log. Lines in hclog's JSON keep their level and fields.
type logPump struct {
	log  *zap.Logger
	done chan struct{} // closed at the end of standard error

	mu    sync.Mutex
	fatal string // the first line of a crash of the Go runtime
}

func newLogPump(log *zap.Logger) *logPump { return &logPump{log: log, done: make(chan struct{})} }

// wait gives the last lines of a dead process a moment to arrive. A child of it may keep the pipe open.
func (l *logPump) wait() {
	select {
	case <-l.done:
	case <-time.After(100 * time.Millisecond):
	}
}

func (l *logPump) read(stderr *os.File) {
	defer close(l.done)
	defer stderr.Close()
	eachLine(stderr, func(line []byte, cut bool) {
		if !l.record(line) {
			l.plain(string(line), cut)
		}
	})
}

// eachLine calls f for every line of r, cut to maxLogLine.
func eachLine(r io.Reader, f func(line []byte, cut bool)) {
	reader := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := reader.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 {
			f(bytes.TrimRight(line, "\r\n"), cut)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = reader.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// record logs a line of hclog's JSON and reports whether it was one.
func (l *logPump) record(line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	var values map[string]any
	if json.Unmarshal(line, &values) != nil {
		return false
	}
	message, ok := values["@message"].(string)
	if !ok {
		return false
	}
	level, _ := values["@level"].(string)
	var fields []zap.Field
	for key, value := range values {
		if !strings.HasPrefix(key, "@") && len(fields) < maxLogFields {
			fields = append(fields, zap.Any(oneLine(key), value))
		}
	}
	l.log.Log(zapLevel(level), oneLine(message), fields...)
	return true
}

func zapLevel(hclog string) zapcore.Level {
	switch strings.ToLower(hclog) {
	case "trace", "debug":
		return zap.DebugLevel
	case "warn", "warning":
		return zap.WarnLevel
	case "error":
		return zap.ErrorLevel
	}
	return zap.InfoLevel
}

func (l *logPump) plain(line string, cut bool) {
	l.mu.Lock()
	if l.fatal == "" && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")) {
		l.fatal = line
	}
	crashing := l.fatal != ""
	l.mu.Unlock()
	level := zap.InfoLevel
	if crashing {
		level = zap.ErrorLevel
	}
	l.log.Log(level, oneLine(line), zap.String("from", "standard error"), zap.Bool("cut", cut))
}

// lastWords is the first line of a crash of the Go runtime, "" when there was none.
func (l *logPump) lastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return clean(l.fatal)
}

// logStray logs what should not be there: prints of a plugin on standard output.
func logStray(log *zap.Logger, r io.Reader) {
	eachLine(r, func(line []byte, _ bool) {
		if len(line) > 0 {
			log.Warn("stray output of the plugin", zap.ByteString("line", line))
		}
	})
}

// strayWriter logs what go-plugin collects of a plugin's later prints.
type strayWriter struct{ log *zap.Logger }

func (w strayWriter) Write(p []byte) (int, error) {
	logStray(w.log, bytes.NewReader(p))
	return len(p), nil
}
