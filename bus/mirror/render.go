package mirror

import (
	_ "embed" // the schema
	"fmt"
	"reflect"
	"strconv"

	"github.com/parley-ike/parley/bus/event"
)

// Schema is the JSON Schema (draft 2020-12) of a rendered event.
//
//go:embed schema/event.v1.json
var Schema []byte

// maxEvent is the size above which an event is sent without its own members. The stream takes 64 KiB, headers included.
const maxEvent = 60 << 10

// timeFormat is RFC 3339 in UTC with all nine digits, so that times sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

// otelSeverity maps event.Severity to SeverityNumber and SeverityText of the OpenTelemetry log data model.
var otelSeverity = [...]struct {
	number int
	text   string
}{{5, "DEBUG"}, {9, "INFO"}, {10, "INFO2"}, {13, "WARN"}, {17, "ERROR"}, {21, "FATAL"}}

// Render returns r as CloudEvent 1.0 in structured JSON. The node and boot must be names that Start accepts.
func Render(node, boot, version string, r event.Record) ([]byte, error) {
	e, err := newRenderer(node, boot, version)
	if err != nil {
		return nil, err
	}
	return e.render(nil, r)
}

// renderer holds what all events of one run share.
type renderer struct {
	node string
	id   string // `node/boot/`
	from string // between id and type
	host string // `"node":{...}`
}

func newRenderer(node, boot, version string) (*renderer, error) {
	if !validName(node) || !validName(boot) {
		return nil, fmt.Errorf("mirror: node %q or boot %q is not 1 to %d letters, digits, dots, dashes and underscores", node, boot, maxName)
	}
	host := fmt.Appendf(nil, `"node":{"id":"%s","boot":"%s","version":`, node, boot)
	return &renderer{
		node: node,
		id:   node + "/" + boot + "/",
		from: `","source":"/parley/` + node + `","type":"parley.`,
		host: string(append(appendText(host, version), '}')),
	}, nil
}

func (e *renderer) render(dst []byte, r event.Record) ([]byte, error) {
	if r.Event == nil || reflect.TypeOf(r.Event).Kind() != reflect.Struct {
		return nil, fmt.Errorf("mirror: record %d holds %T, not an event struct", r.Sequence, r.Event)
	}
	start := len(dst)
	k := r.Event.Kind()
	dst = e.appendEnvelope(dst, k, r)
	dst = e.appendShared(dst, k, r)
	shared := len(dst)
	v := reflect.ValueOf(r.Event)
	dst = appendFields(dst, planOf(v.Type()), v, true)
	if len(dst)-start > maxEvent {
		dst = append(dst[:shared], `,"truncated":true`...)
	}
	return append(dst, '}', '}'), nil
}

func (e *renderer) appendEnvelope(dst []byte, k event.Kind, r event.Record) []byte {
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = e.appendID(dst, r.Sequence)
	dst = append(dst, e.from...)
	dst = append(dst, k.Name...)
	dst = append(dst, `.v1","subject":"`...)
	dst = e.appendAbout(dst, r.Subject)
	dst = append(dst, `","time":"`...)
	dst = r.Time.UTC().AppendFormat(dst, timeFormat)
	dst = append(dst, `","datacontenttype":"application/json","sequence":"`...)
	dst = appendPadded(dst, r.Sequence)
	dst = append(dst, `","partitionkey":"`...)
	dst = e.appendAbout(dst, r.Subject)
	severity := otelSeverity[min(int(k.Severity), len(otelSeverity)-1)]
	dst = append(dst, `","severitytext":"`...)
	dst = append(dst, severity.text...)
	dst = append(dst, `","severitynumber":`...)
	return strconv.AppendInt(dst, int64(severity.number), 10)
}

// appendShared appends the members of data that all events have, and leaves data open.
func (e *renderer) appendShared(dst []byte, k event.Kind, r event.Record) []byte {
	dst = append(dst, `,"data":{"code":`...)
	dst = strconv.AppendInt(dst, int64(k.Code), 10)
	dst = append(dst, `,"severity":"`...)
	dst = append(dst, k.Severity.String()...)
	dst = append(dst, `","outcome":"`...)
	dst = append(dst, k.Outcome...)
	dst = append(dst, `",`...)
	dst = append(dst, e.host...)
	if r.Subject.Conn != "" {
		dst = append(dst, `,"conn":`...)
		dst = appendText(dst, r.Subject.Conn)
	}
	if r.SASequence != 0 {
		dst = append(dst, `,"sa_sequence":`...)
		dst = strconv.AppendUint(dst, r.SASequence, 10)
	}
	return dst
}

func (e *renderer) appendID(dst []byte, sequence uint64) []byte {
	return strconv.AppendUint(append(dst, e.id...), sequence, 10)
}

// appendAbout appends the attribute subject, which is also the key by which order matters.
func (e *renderer) appendAbout(dst []byte, s event.Subject) []byte {
	if s.IKE == (event.UID{}) {
		return append(dst, e.node...)
	}
	return append(append(dst, "ikesa/"...), s.IKE.String()...)
}

// appendPadded appends n with the 20 digits of the largest uint64: the attribute sequence is compared as text.
func appendPadded(dst []byte, n uint64) []byte {
	var digits [20]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:]...)
}
