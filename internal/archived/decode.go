package archived

import (
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

var known = typeNames()

func typeNames() (names []string) {
	for _, t := range append(events.PublishedTypes(), ClaimedType, AssertedType, RetractedType) {
		names = append(names, string(t))
	}
	return names
}

// Decode reads one line of an archive: a structured CloudEvent of any type. A
// creation by the registry itself is the claim of an earlier release, and becomes
// one. notAfter is the latest time that the event may have: now, plus the allowed
// clock skew. The error is always a *events.Refusal.
func Decode(line []byte, notAfter time.Time) (events.Event, error) {
	e, err := envelope.Rules{Known: known, NotAfter: notAfter, Archived: true}.DecodeLine(line)
	if err != nil {
		return events.Event{}, err
	}
	data := newData(e)
	if data == nil {
		event, err := events.Of(e)
		return asClaim(event), err
	}
	return events.Event{
		ID: e.ID, Source: e.Source, Time: e.Time, Data: data,
		Subject: e.Subject, DataSchema: e.DataSchema, TraceParent: e.TraceParent,
	}, nil
}

// newData returns the data of an event that occurs in archives only, else nil.
func newData(e envelope.Envelope) events.Data {
	switch events.Type(e.Type) {
	case ClaimedType:
		return Claimed{
			TenantID: text(e.Data, "tenant_id"), Resource: resourceRef(e.Data),
			EventSource: text(e.Data, "event_source"), EventID: text(e.Data, "event_id"),
		}
	case AssertedType:
		return Asserted{text(e.Data, "tenant_id"), resourceRef(e.Data)}
	case RetractedType:
		return Retracted{
			EventSource: text(e.Data, "event_source"), EventID: text(e.Data, "event_id"),
			By: text(e.Data, "by"), Reason: text(e.Data, "reason"),
		}
	}
	return nil
}

func resourceRef(data map[string]any) events.ResourceRef {
	object, _ := data["resource"].(map[string]any)
	return events.ResourceRef{Kind: text(object, "kind"), ID: text(object, "id")}
}

func text(object map[string]any, name string) string {
	s, _ := object[name].(string)
	return s
}
