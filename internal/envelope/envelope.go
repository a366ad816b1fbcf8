package envelope

import (
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/schemas"
)

// MaxAttributeBytes bounds every attribute of an event. Pub/Sub takes no longer
// ones, so an event from an archive could not be published otherwise.
const MaxAttributeBytes = 1024

// Envelope is a CloudEvent that has passed every check, whatever its type means.
type Envelope struct {
	ID, Source, Type string
	Time             time.Time // UTC, to the nanosecond
	Data             map[string]any

	Subject, DataSchema, TraceParent string // "" if absent
}

// message is an event of either mode before it is checked.
type message struct {
	attributes map[string]string // by their CloudEvents names
	prefix     string            // of those names in the message: "ce-" in binary mode
	payload    payload
}

// payload is the data of an event: as raw JSON, or parsed with its envelope.
type payload struct {
	present bool
	size    int // bytes
	raw     []byte
	tree    any
}

// envelope checks the attributes and then the data, in the order of the comment on
// package events.
func (e message) envelope(r Rules) (Envelope, error) {
	if version := e.attributes["specversion"]; version != "1.0" {
		return Envelope{}, e.malformed("specversion", Shorten(version)+` is not "1.0"`)
	}
	for _, name := range []string{"id", "source", "type", "time"} {
		if e.attributes[name] == "" {
			return Envelope{}, e.malformed(name, "missing or empty")
		}
	}
	for _, name := range contextAttributes {
		problem := TextProblem(e.attributes[name])
		if problem != "" && requiredAttributes[name] {
			return Envelope{}, e.malformed(name, problem)
		}
		if problem != "" {
			e.attributes[name] = ""
		}
	}
	at, problem := parseTime(e.attributes["time"])
	if problem != "" {
		return Envelope{}, e.malformed("time", problem)
	}
	typ := e.attributes["type"]
	if err := r.judge(e, typ, at); err != nil {
		return Envelope{}, err
	}
	data, err := e.payload.data(typ, r.Archived)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{
		ID:          e.attributes["id"],
		Source:      e.attributes["source"],
		Type:        typ,
		Time:        at,
		Data:        data,
		Subject:     e.attributes["subject"],
		DataSchema:  e.attributes["dataschema"],
		TraceParent: e.attributes["traceparent"],
	}, nil
}

func (e message) malformed(name, problem string) error {
	return Refuse(Malformed, "%s%s: %s", e.prefix, name, problem)
}

// TextProblem returns why a text cannot be the value of an attribute; "" if it can.
// CloudEvents 1.0, "Type System", forbids control characters and lone surrogates.
// Decoders replace those, and broken UTF-8, by the replacement character, so two
// ids could have become one.
func TextProblem(value string) string {
	switch {
	case len(value) > MaxAttributeBytes:
		return "longer than 1024 bytes"
	case !utf8.ValidString(value):
		return "not UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "a control character in " + Shorten(value)
	case strings.ContainsRune(value, utf8.RuneError):
		return "damaged text in " + Shorten(value)
	}
	return ""
}

// rfc3339 is the shape of a time; package time accepts other shapes too, such as a
// comma for the point (go.dev/issue/54580).
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseTime reads RFC 3339, whose T and Z may be in lower case. A leap second is
// the second after it, as in POSIX: 23:59:60.5 is 00:00:00.5 of the next day. Years
// that Firestore cannot hold are refused, and so is Go's zero time, which a
// publisher forgot to set.
func parseTime(text string) (at time.Time, problem string) {
	upper := strings.ToUpper(text)
	if !rfc3339.MatchString(upper) {
		return at, Shorten(text) + " is not an RFC 3339 time"
	}
	const seconds = len("2016-12-31T23:59:")
	leaps := upper[seconds:seconds+2] == "60"
	if leaps {
		upper = upper[:seconds] + "59" + upper[seconds+2:]
	}
	at, err := time.Parse(time.RFC3339Nano, upper)
	if err != nil {
		return at, Shorten(text) + " is not an RFC 3339 time"
	}
	at = at.UTC()
	if leaps {
		month, day := at.Month(), at.Day()
		if at.Format(time.TimeOnly) != "23:59:59" || (month != time.June || day != 30) && (month != time.December || day != 31) {
			return at, Shorten(text) + " is a leap second where there can be none (RFC 3339, section 5.7)"
		}
		at = at.Add(time.Second)
	}
	if at.IsZero() || at.Year() < 1 || at.Year() > 9999 {
		return at, Shorten(text) + " is not within the years 1 to 9999, or is the zero time"
	}
	return at, ""
}

// data checks the payload against the type's schema. An archive may have data from
// before the schema was as strict as it is.
func (p payload) data(typ string, archived bool) (map[string]any, error) {
	if !p.present {
		return nil, Refuse(Schema, "data: missing")
	}
	if p.size > MaxDataBytes {
		return nil, Refuse(TooLarge, "data: %d bytes, more than %d", p.size, MaxDataBytes)
	}
	tree := p.tree
	if p.raw != nil {
		var err error
		if tree, err = parse(p.raw); err != nil {
			return nil, Refuse(Malformed, "data: %v", err)
		}
	}
	if archived {
		tree = schemas.Archived(typ, tree)
	}
	if err := schemas.Validate(typ, tree); err != nil {
		var faults schemas.Faults
		if !errors.As(err, &faults) {
			return nil, Refuse(UnknownType, "type: %v", err)
		}
		return nil, &Refusal{Reason: Schema, Detail: faults.Error()}
	}
	return tree.(map[string]any), nil
}
