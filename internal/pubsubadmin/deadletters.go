package pubsubadmin

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// DeadLetter is a message that the worker has refused. All that it says was
// chosen by its publisher, except RefusedAt.
type DeadLetter struct {
	Reason       events.Reason     `json:"reason"`
	Detail       string            `json:"detail"`
	EventID      string            `json:"event_id"`        // empty if the message does not tell
	Type         events.Type       `json:"type"`            // empty if the message does not tell
	About        string            `json:"about,omitempty"` // what the event is about, such as thread/th_42
	MessageID    string            `json:"message_id"`      // of the message that was refused
	Subscription string            `json:"subscription"`    // from which it came
	PublishedAt  string            `json:"published_at"`    // that message; RFC 3339
	RefusedAt    time.Time         `json:"refused_at"`      // when its dead letter was published
	Attributes   map[string]string `json:"attributes"`      // of that message
	Data         []byte            `json:"data"`            // its body; base64 in JSON
	// Truncated reports that the message was too big to be kept whole.
	Truncated bool `json:"truncated,omitempty"`
	// Redrives is how often it was published again, and refused again; RedrivenBy
	// is who did it last.
	Redrives   int    `json:"redrives,omitempty"`
	RedrivenBy string `json:"redriven_by,omitempty"`
}

func parseDeadLetter(m *pubsubpb.PubsubMessage) DeadLetter {
	a := m.Attributes
	original := maps.Clone(a)
	maps.DeleteFunc(original, func(name, _ string) bool { return consumer.IsDeadLetterAttribute(name) })
	_, truncated := a[consumer.TruncatedAttribute]
	_, dropped := a[consumer.DroppedAttribute]
	id, typ := envelope(original, m.Data)
	return DeadLetter{
		Reason:       events.Reason(a[consumer.ReasonAttribute]),
		Detail:       a[consumer.DetailAttribute],
		EventID:      id,
		Type:         typ,
		About:        about(m.Data),
		MessageID:    a[consumer.MessageIDAttribute],
		Subscription: a[consumer.SubscriptionAttribute],
		PublishedAt:  a[consumer.PublishTimeAttribute],
		RefusedAt:    m.PublishTime.AsTime(),
		Attributes:   original,
		Data:         m.Data,
		Truncated:    truncated || dropped,
		Redrives:     redrives(a),
		RedrivenBy:   a[consumer.RedrivenByAttribute],
	}
}

// redrives returns how often a message was published again. What is no such
// number counts as none.
func redrives(attributes map[string]string) int {
	n, err := strconv.ParseUint(attributes[consumer.RedrivesAttribute], 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// envelope returns the id and the type that a message gives its event, in either
// mode, however malformed the rest is.
func envelope(attributes map[string]string, data []byte) (id string, typ events.Type) {
	for name, value := range attributes {
		switch strings.ToLower(name) {
		case "ce-id":
			id = value
		case "ce-type":
			typ = events.Type(value)
		}
	}
	if id != "" || typ != "" {
		return id, typ
	}
	var structured struct {
		SpecVersion string
		ID          string
		Type        events.Type
	}
	if json.Unmarshal(data, &structured) != nil || structured.SpecVersion == "" {
		return "", ""
	}
	return structured.ID, structured.Type
}
