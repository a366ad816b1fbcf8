package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// MaxMessageBytes bounds a message, or a line of an archive, before anything in
// it is read. It leaves room for the envelope and for base64.
const MaxMessageBytes = 4 * MaxDataBytes

// Decode reads a Pub/Sub message in binary or structured mode (design §2), and
// refuses what the rules do not allow. The error is always a *Refusal.
//
// Attribute names compare without case; two that differ only in case are refused,
// if the event cannot be read without them.
func (r Rules) Decode(attributes map[string]string, data []byte) (Envelope, error) {
	if err := checkSize(data); err != nil {
		return Envelope{}, err
	}
	contentType, context, err := readAttributes(attributes)
	if err != nil {
		return Envelope{}, err
	}
	contentType = strings.ToLower(contentType)
	if strings.HasPrefix(contentType, "application/cloudevents-batch") {
		return Envelope{}, Refuse(Malformed, "content-type: %s: want one event in each message", Shorten(contentType))
	}
	if strings.HasPrefix(contentType, "application/cloudevents") {
		return decodeStructured(data, r)
	}
	if _, ok := context["specversion"]; ok {
		return message{
			prefix:     "ce-",
			attributes: context,
			payload:    payload{present: len(data) > 0, size: len(data), raw: data},
		}.envelope(r)
	}
	if tree, err := parse(data); err != nil {
		return Envelope{}, Refuse(Malformed, "neither content-type nor ce-specversion makes it a CloudEvent, and the body: %v", err)
	} else if object, _ := tree.(map[string]any); object["specversion"] == nil {
		return Envelope{}, Refuse(Malformed, "neither content-type nor ce-specversion makes it a CloudEvent, and the body has no specversion")
	}
	return decodeStructured(data, r)
}

// DecodeLine reads a structured event, as a line of an archive has it. The error is
// always a *Refusal.
func (r Rules) DecodeLine(line []byte) (Envelope, error) {
	if err := checkSize(line); err != nil {
		return Envelope{}, err
	}
	return decodeStructured(line, r)
}

func checkSize(message []byte) error {
	if len(message) > MaxMessageBytes {
		return Refuse(TooLarge, "message: %d bytes, more than %d", len(message), MaxMessageBytes)
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
			context[attribute] = "" // it is ambiguous, and not needed
		case isContext && repeated, lower == "content-type" && typed:
			return "", nil, Refuse(Malformed, "%s: the attribute occurs twice, in different case", Shorten(lower))
		case isContext:
			context[attribute] = value
		case lower == "content-type":
			contentType, typed = value, true
		}
	}
	return contentType, context, nil
}

// lowerASCII is strings.ToLower for ASCII letters alone. Unicode would turn others,
// such as İ, into ASCII ones.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// contextAttributes are the members of a structured event that are read, except the
// data.
var contextAttributes = [...]string{"specversion", "id", "source", "type", "time", "subject", "dataschema", "traceparent"}

// requiredAttributes are those that every event must have. If another attribute is
// wrong, it is dropped, not the event.
var requiredAttributes = map[string]bool{"specversion": true, "id": true, "source": true, "type": true, "time": true}

func decodeStructured(text []byte, r Rules) (Envelope, error) {
	tree, err := parse(text)
	if err != nil {
		return Envelope{}, Refuse(Malformed, "body: %v", err)
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return Envelope{}, Refuse(Malformed, "body: not a JSON object")
	}
	e := message{attributes: make(map[string]string, len(contextAttributes))}
	for _, name := range contextAttributes {
		switch value := object[name].(type) {
		case nil: // absent; so is null, by the CloudEvents JSON format
		case string:
			e.attributes[name] = value
		default:
			if requiredAttributes[name] {
				return Envelope{}, Refuse(Malformed, "%s: not a string", name)
			}
		}
	}
	if e.payload, err = structuredPayload(object, text); err != nil {
		return Envelope{}, err
	}
	return e.envelope(r)
}

// structuredPayload returns the data of a structured event. A member that is null
// does not count if the other one is there.
func structuredPayload(object map[string]any, message []byte) (payload, error) {
	data, inline := object["data"]
	encoded := object["data_base64"]
	isBase64 := encoded != nil
	inline = inline && (data != nil || !isBase64)
	switch {
	case inline && isBase64:
		return payload{}, Refuse(Malformed, "data_base64: beside data")
	case inline:
		return payload{present: true, size: memberSize(message, "data"), tree: data}, nil
	case isBase64:
		text, _ := encoded.(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || text == "" {
			return payload{}, Refuse(Malformed, "data_base64: not a string in base64")
		}
		return payload{present: true, size: len(raw), raw: raw}, nil
	}
	return payload{}, nil
}

// memberSize returns the length of a member's value as it was sent. It reads a
// message again only if that exceeds MaxDataBytes: otherwise the value is shorter
// than that in any case, and the message's length will do.
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

// Refuse returns a *Refusal.
func Refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Shorten quotes what a publisher sent. It shortens it, so that a detail stays
// readable, and fits an attribute of a dead letter.
func Shorten(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Structured returns a message in structured mode, as a line of an archive has it:
// unchanged if it is in that mode, or if nothing makes it an event. Whether it is one,
// and which, is for DecodeLine to say. The error is always a *Refusal.
func Structured(attributes map[string]string, data []byte) ([]byte, error) {
	contentType, context, err := readAttributes(attributes)
	if err != nil {
		return nil, err
	}
	if _, binary := context["specversion"]; !binary || strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents") {
		return data, nil
	}
	members := make(map[string]any, len(context)+1)
	for name, value := range context {
		members[name] = value
	}
	delete(members, "data_base64")
	delete(members, "data")
	switch {
	case json.Valid(data):
		members["data"] = json.RawMessage(data)
	case len(data) > 0:
		members["data_base64"] = data // as base64
	}
	return json.Marshal(members)
}
