package events

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// MaxDataBytes bounds an event's data (design §2).
const MaxDataBytes = envelope.MaxDataBytes

var published = typeNames()

func typeNames() (names []string) {
	for _, t := range PublishedTypes() {
		names = append(names, string(t))
	}
	return names
}

// Decode reads a Pub/Sub message in binary or structured mode (design §2). notAfter
// is the latest time that the event may have: the publish time of the message, plus
// the allowed clock skew. The error is always a *Refusal. It takes every published
// type, from any source except the registry's own.
func Decode(attributes map[string]string, data []byte, notAfter time.Time) (Event, error) {
	e, err := envelope.Rules{Known: published, NotAfter: notAfter}.Decode(attributes, data)
	if err != nil {
		return Event{}, err
	}
	return Of(e)
}

// Of returns the event of an envelope, for programs of this module, which decode by
// rules of their own. The error is a *Refusal: the type is not a published one.
func Of(e envelope.Envelope) (Event, error) {
	data, err := newData(Type(e.Type), e.Data)
	if err != nil {
		return Event{}, err
	}
	return Event{
		ID: e.ID, Source: e.Source, Time: e.Time, Data: data,
		Subject: e.Subject, DataSchema: e.DataSchema, TraceParent: e.TraceParent,
	}, nil
}
