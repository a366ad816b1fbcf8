package pubsubadmin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// DeadLetter is a message that the worker has refused.
type DeadLetter struct {
	Reason       events.Reason     `json:"reason"`
	Detail       string            `json:"detail"`
	EventID      string            `json:"event_id"`     // empty if the message does not tell
	MessageID    string            `json:"message_id"`   // of the message that was refused
	Subscription string            `json:"subscription"` // from which it came
	PublishedAt  string            `json:"published_at"` // that message; RFC 3339
	RefusedAt    time.Time         `json:"refused_at"`   // when its dead letter was published
	Attributes   map[string]string `json:"attributes"`   // of that message
	Data         []byte            `json:"data"`         // its body; base64 in JSON
	// Truncated tells that the message was too big to be kept whole.
	Truncated bool `json:"truncated,omitempty"`
}

func parseDeadLetter(m *pubsubpb.PubsubMessage) DeadLetter {
	a := m.Attributes
	original := maps.Clone(a)
	maps.DeleteFunc(original, func(name, _ string) bool { return consumer.IsDeadLetterAttribute(name) })
	_, truncated := a[consumer.TruncatedAttribute]
	_, dropped := a[consumer.DroppedAttribute]
	return DeadLetter{
		Reason:       events.Reason(a[consumer.ReasonAttribute]),
		Detail:       a[consumer.DetailAttribute],
		EventID:      eventID(original, m.Data),
		MessageID:    a[consumer.MessageIDAttribute],
		Subscription: a[consumer.SubscriptionAttribute],
		PublishedAt:  a[consumer.PublishTimeAttribute],
		RefusedAt:    m.PublishTime.AsTime(),
		Attributes:   original,
		Data:         m.Data,
		Truncated:    truncated || dropped,
	}
}

// eventID is the id that a message gives its event, in either mode, however
// malformed the rest is.
func eventID(attributes map[string]string, data []byte) string {
	for name, value := range attributes {
		if strings.EqualFold(name, "ce-id") {
			return value
		}
	}
	var structured struct {
		SpecVersion string
		ID          string
	}
	if json.Unmarshal(data, &structured) != nil || structured.SpecVersion == "" {
		return ""
	}
	return structured.ID
}

// DefaultIdle is how long no dead letter must come before there are taken to be
// no more: Pub/Sub cannot say that a subscription is empty.
const DefaultIdle = 5 * time.Second

// ListOptions bound a listing.
type ListOptions struct {
	Limit int           // at most so many. Default: 1,000
	Bytes int           // and about so many bytes of bodies. Default: 64 MiB
	Idle  time.Duration // Default: DefaultIdle
}

// ListDeadLetters returns the dead letters that wait in a subscription, the
// oldest first, and whether there are more than the limits allow.
//
// It consumes none: they are leased for as long as it runs, so that others do
// not see them, and given back at its end, in no particular order. If the
// process is killed they come back when their lease ends, within 20 s.
func ListDeadLetters(ctx context.Context, client *pubsub.Client, subscription string, opts ListOptions) (letters []DeadLetter, more bool, err error) {
	limit, maxBytes := cmp.Or(opts.Limit, 1000), cmp.Or(opts.Bytes, 64<<20)
	bytes := 0
	seen := map[string]bool{} // a lease that ended is delivered again
	err = visit(ctx, client, subscription, cmp.Or(opts.Idle, DefaultIdle), func(batch []*pubsubpb.ReceivedMessage) (ack []string, stop bool) {
		for _, received := range batch {
			m := received.Message
			if seen[m.MessageId] {
				continue
			}
			if len(letters) == limit || bytes+len(m.Data) > maxBytes && len(letters) > 0 {
				more = true
				return nil, true
			}
			seen[m.MessageId] = true
			bytes += len(m.Data)
			letters = append(letters, parseDeadLetter(m))
		}
		return nil, false
	})
	slices.SortFunc(letters, func(a, b DeadLetter) int {
		return cmp.Or(a.RefusedAt.Compare(b.RefusedAt), cmp.Compare(a.MessageID, b.MessageID))
	})
	if err != nil {
		err = fmt.Errorf("list dead letters: %w", err)
	}
	return letters, more, err
}
