package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MaxMessageBytes bounds a message, or a line of an archive, before anything in
// it is read. It leaves room for the envelope and for base64.
const MaxMessageBytes = 4 * MaxDataBytes

// Decode reads a Pub/Sub message in binary or structured mode (design §2).
// notAfter is the latest time that the event may bear: the time at which the
// message was published, plus the clock skew that is allowed. The error is
// always a *Refusal. It takes every published type, from any source but the
// registry's own: Rules.Decode is for those who know better.
func Decode(attributes map[string]string, data []byte, notAfter time.Time) (Event, error) {
	return Rules{NotAfter: notAfter}.Decode(attributes, data)
}

// Decode reads a Pub/Sub message as the function Decode does, and refuses what
// the rules do not allow.
//
// Attribute names compare without case; two that differ in case only are
// refused, if the event could not be read without them.
func (r Rules) Decode(attributes map[string]string, data []byte) (Event, error) {
	if err := checkSize(data); err != nil {
		return Event{}, err
	}
	contentType, context, err := readAttributes(attributes)
	if err != nil {
		return Event{}, err
	}
	contentType = strings.ToLower(contentType)
	if strings.HasPrefix(contentType, "application/cloudevents-batch") {
		return Event{}, refuse(Malformed, "content-type: %s: want one event in each message", shorten(contentType))
	}
	if strings.HasPrefix(contentType, "application/cloudevents") {
		return decodeStructured(data, r)
	}
	if _, ok := context["specversion"]; ok {
		return envelope{
			prefix:     "ce-",
			attributes: context,
			payload:    payload{present: len(data) > 0, size: len(data), raw: data},
		}.event(r)
	}
	if tree, err := parse(data); err != nil {
		return Event{}, refuse(Malformed, "neither content-type nor ce-specversion makes it a CloudEvent, and the body: %v", err)
	} else if object, _ := tree.(map[string]any); object["specversion"] == nil {
		return Event{}, refuse(Malformed, "neither content-type nor ce-specversion makes it a CloudEvent, and the body has no specversion")
	}
	return decodeStructured(data, r)
}

// DecodeLine reads one line of an archive: a structured CloudEvent, of the
// types that occur in archives only too. A creation by the registry itself is the
// claim of an earlier release, and becomes one. notAfter is the latest time that the
// event may bear: now, plus the clock skew that is allowed. The error is always
// a *Refusal.
func DecodeLine(line []byte, notAfter time.Time) (Event, error) {
	if err := checkSize(line); err != nil {
		return Event{}, err
	}
	event, err := decodeStructured(line, Rules{NotAfter: notAfter, archive: true})
	return event.asClaim(), err
}

func checkSize(message []byte) error {
	if len(message) > MaxMessageBytes {
		return refuse(TooLarge, "message: %d bytes, more than %d", len(message), MaxMessageBytes)
	}
	return nil
}

// readAttributes returns the content type and the attributes of the event in
// binary mode, by their names without "ce-", in lower case.
func readAttributes(attributes map[string]string) (contentType string, context map[string]string, err error) {
	context = make(map[string]string, len(contextAttributes))
	typed := false
	for name, value := range attributes {
		lower := lowerASCII(name)
		attribute, isContext := strings.CutPrefix(lower, "ce-")
		_, repeated := context[attribute]
		switch {
		case isContext && repeated && !requiredAttributes[attribute]:
			context[attribute] = "" // nobody knows which; nobody needs it
		case isContext && repeated, lower == "content-type" && typed:
			return "", nil, refuse(Malformed, "%s: the attribute occurs twice, in different case", shorten(lower))
		case isContext:
			context[attribute] = value
		case lower == "content-type":
			contentType, typed = value, true
		}
	}
	return contentType, context, nil
}

// lowerASCII is strings.ToLower without the letters, such as İ, that Unicode
// would turn into ASCII ones.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// contextAttributes are the members of a structured event that are read, but
// for the data.
var contextAttributes = [...]string{"specversion", "id", "source", "type", "time", "subject", "dataschema", "traceparent"}

// requiredAttributes are those that an event is nothing without. What is wrong
// with any other costs that attribute, not the event.
var requiredAttributes = map[string]bool{"specversion": true, "id": true, "source": true, "type": true, "time": true}

func decodeStructured(message []byte, r Rules) (Event, error) {
	tree, err := parse(message)
	if err != nil {
		return Event{}, refuse(Malformed, "body: %v", err)
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return Event{}, refuse(Malformed, "body: not a JSON object")
	}
	e := envelope{attributes: make(map[string]string, len(contextAttributes))}
	for _, name := range contextAttributes {
		switch value := object[name].(type) {
		case nil: // absent; so is null, by the CloudEvents JSON format
		case string:
			e.attributes[name] = value
		default:
			if requiredAttributes[name] {
				return Event{}, refuse(Malformed, "%s: not a string", name)
			}
		}
	}
	if e.payload, err = structuredPayload(object, message); err != nil {
		return Event{}, err
	}
	return e.event(r)
}

// structuredPayload returns the data of a structured event. A member that is null
// says nothing beside the other one.
func structuredPayload(object map[string]any, message []byte) (payload, error) {
	data, inline := object["data"]
	encoded := object["data_base64"]
	isBase64 := encoded != nil
	inline = inline && (data != nil || !isBase64)
	switch {
	case inline && isBase64:
		return payload{}, refuse(Malformed, "data_base64: beside data")
	case inline:
		return payload{present: true, size: memberSize(message, "data"), tree: data}, nil
	case isBase64:
		text, _ := encoded.(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || text == "" {
			return payload{}, refuse(Malformed, "data_base64: not a string in base64")
		}
		return payload{present: true, size: len(raw), raw: raw}, nil
	}
	return payload{}, nil
}

// memberSize is the length of a member's value as it was sent. Only a message
// that exceeds MaxDataBytes is read again for it: in any other the value is
// shorter than that, and the message's own length does.
func memberSize(message []byte, name string) int {
	if len(message) <= MaxDataBytes {
		return len(message)
	}
	members := map[string]json.RawMessage{}
	if err := json.NewDecoder(bytes.NewReader(message)).Decode(&members); err != nil {
		return len(message) // it has been parsed before, so this does not happen
	}
	return len(members[name])
}

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// shorten quotes what a publisher sent, so that a detail stays readable, and
// fits an attribute of a dead letter.
func shorten(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
