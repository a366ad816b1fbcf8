package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// structured is an event in structured mode, its members in the order in which
// they are written.
type structured struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            Type   `json:"type"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Subject         string `json:"subject,omitempty"`
	DataSchema      string `json:"dataschema,omitempty"`
	TraceParent     string `json:"traceparent,omitempty"`
	Data            Data   `json:"data"`
}

// MarshalJSON writes the event in structured mode, on one line, its members in
// a fixed order: equal events give equal bytes. It does not check the event,
// except that it has data.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Data == nil {
		return nil, fmt.Errorf("encode event %s: it has no data", envelope.Shorten(e.ID))
	}
	return json.Marshal(structured{
		SpecVersion:     "1.0",
		ID:              e.ID,
		Source:          e.Source,
		Type:            e.Type(),
		Time:            formatTime(e.Time),
		DataContentType: "application/json",
		Subject:         e.Subject,
		DataSchema:      e.DataSchema,
		TraceParent:     e.TraceParent,
		Data:            e.Data,
	})
}

// Encode writes the event as a Pub/Sub message in binary mode. If Decode would
// refuse the event at any time, the error wraps the *Refusal. That includes events
// from the registry's own source.
func Encode(e Event) (attributes map[string]string, data []byte, err error) {
	if e.Data == nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", envelope.Shorten(e.ID), errors.New("it has no data"))
	}
	if data, err = json.Marshal(e.Data); err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", envelope.Shorten(e.ID), err)
	}
	attributes = map[string]string{
		"ce-specversion": "1.0",
		"ce-id":          e.ID,
		"ce-source":      e.Source,
		"ce-type":        string(e.Type()),
		"ce-time":        formatTime(e.Time),
		"content-type":   "application/json",
	}
	for name, value := range map[string]string{
		"ce-subject":     e.Subject,
		"ce-dataschema":  e.DataSchema,
		"ce-traceparent": e.TraceParent,
	} {
		if value != "" && envelope.TextProblem(value) == "" { // else Decode would not see it
			attributes[name] = value
		}
	}
	if _, err := Decode(attributes, data, e.Time); err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", envelope.Shorten(e.ID), err)
	}
	return attributes, data, nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
