package events

import (
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/schemas"
)

// MaxAttributeBytes bounds every attribute of an event: Pub/Sub takes no longer
// ones, so that an event from an archive could not be published otherwise.
const MaxAttributeBytes = 1024

var (
	publishedTypes = setOf(PublishedTypes()...)
	archivedTypes  = setOf(append(PublishedTypes(), ClaimedType, AssertedType, RetractedType)...)
)

func setOf(types ...Type) map[Type]bool {
	set := map[Type]bool{}
	for _, t := range types {
		set[t] = true
	}
	return set
}

// envelope is an event of either mode before it was checked.
type envelope struct {
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

// event checks the envelope and then the data, in the order of the package
// comment.
func (e envelope) event(r Rules) (Event, error) {
	if version := e.attributes["specversion"]; version != "1.0" {
		return Event{}, e.malformed("specversion", shorten(version)+` is not "1.0"`)
	}
	for _, name := range []string{"id", "source", "type", "time"} {
		if e.attributes[name] == "" {
			return Event{}, e.malformed(name, "missing or empty")
		}
	}
	for _, name := range contextAttributes {
		problem := textProblem(e.attributes[name])
		if problem != "" && requiredAttributes[name] {
			return Event{}, e.malformed(name, problem)
		}
		if problem != "" {
			e.attributes[name] = ""
		}
	}
	at, problem := parseTime(e.attributes["time"])
	if problem != "" {
		return Event{}, e.malformed("time", problem)
	}
	typ := Type(e.attributes["type"])
	if err := r.judge(e, typ, at); err != nil {
		return Event{}, err
	}
	data, err := e.payload.data(typ, r.archive)
	if err != nil {
		return Event{}, err
	}
	return Event{
		ID:          e.attributes["id"],
		Source:      e.attributes["source"],
		Time:        at,
		Data:        data,
		Subject:     e.attributes["subject"],
		DataSchema:  e.attributes["dataschema"],
		TraceParent: e.attributes["traceparent"],
	}, nil
}

func (e envelope) malformed(name, problem string) error {
	return refuse(Malformed, "%s%s: %s", e.prefix, name, problem)
}

// textProblem says why the value cannot be that of an attribute, or "".
// CloudEvents 1.0, "Type System", forbids control characters and lone
// surrogates. The replacement character is what decoders put in place of those
// and of broken UTF-8: two ids could have become one.
func textProblem(value string) string {
	switch {
	case len(value) > MaxAttributeBytes:
		return "longer than 1024 bytes"
	case !utf8.ValidString(value):
		return "not UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "a control character in " + shorten(value)
	case strings.ContainsRune(value, utf8.RuneError):
		return "damaged text in " + shorten(value)
	}
	return ""
}

// rfc3339 is the shape of a time; package time takes other shapes too, such as
// a comma for the point (go.dev/issue/54580).
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseTime reads RFC 3339, whose T and Z may be in lower case. A leap second is
// the second after it, as POSIX has it: 23:59:60.5 is 00:00:00.5 of the next day.
// Years that Firestore cannot hold are refused, and so is the instant that is
// Go's zero time: a publisher forgot to set it.
func parseTime(text string) (at time.Time, problem string) {
	upper := strings.ToUpper(text)
	if !rfc3339.MatchString(upper) {
		return at, shorten(text) + " is not an RFC 3339 time"
	}
	const seconds = len("2016-12-31T23:59:")
	leaps := upper[seconds:seconds+2] == "60"
	if leaps {
		upper = upper[:seconds] + "59" + upper[seconds+2:]
	}
	at, err := time.Parse(time.RFC3339Nano, upper)
	if err != nil {
		return at, shorten(text) + " is not an RFC 3339 time"
	}
	at = at.UTC()
	if leaps {
		month, day := at.Month(), at.Day()
		if at.Format(time.TimeOnly) != "23:59:59" || (month != time.June || day != 30) && (month != time.December || day != 31) {
			return at, shorten(text) + " is a leap second where there can be none (RFC 3339, section 5.7)"
		}
		at = at.Add(time.Second)
	}
	if at.IsZero() || at.Year() < 1 || at.Year() > 9999 {
		return at, shorten(text) + " is not within the years 1 to 9999, or is the zero time"
	}
	return at, ""
}

// data checks the payload against the type's schema. What an archive has may be
// from before the schema was as strict as it is.
func (p payload) data(typ Type, archived bool) (Data, error) {
	if !p.present {
		return nil, refuse(Schema, "data: missing")
	}
	if p.size > MaxDataBytes {
		return nil, refuse(TooLarge, "data: %d bytes, more than %d", p.size, MaxDataBytes)
	}
	tree := p.tree
	if p.raw != nil {
		var err error
		if tree, err = parse(p.raw); err != nil {
			return nil, refuse(Malformed, "data: %v", err)
		}
	}
	if archived {
		tree = schemas.Archived(string(typ), tree)
	}
	if err := schemas.Validate(string(typ), tree); err != nil {
		var faults schemas.Faults
		if !errors.As(err, &faults) {
			return nil, refuse(UnknownType, "type: %v", err)
		}
		return nil, &Refusal{Reason: Schema, Detail: faults.Error()}
	}
	return newData(typ, tree.(map[string]any))
}
