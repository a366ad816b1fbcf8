package consumer

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/events"
)

// The attributes that dead-lettering adds to those of the message (design §5).
const (
	ReasonAttribute       = "dead-letter-reason"       // an events.Reason
	DetailAttribute       = "dead-letter-detail"       // for people; cut off at 1,024 bytes
	MessageIDAttribute    = "dead-letter-message-id"   // of the message that was refused
	SubscriptionAttribute = "dead-letter-subscription" // from which it came: its short name
	PublishTimeAttribute  = "dead-letter-publish-time" // of that message, RFC 3339
	TruncatedAttribute    = "dead-letter-truncated"    // only if the body was cut off: its size before
	DroppedAttribute      = "dead-letter-dropped"      // only if attributes were left out: how many
)

// The attributes that a redrive adds to the message that it publishes again. They
// stay in it if it is refused again, however many others it has: otherwise it could
// be published again for ever.
const (
	RedriveAttribute    = "registry-redrive"     // a name for the run that published it
	RedrivesAttribute   = "registry-redrives"    // how often it was published again, decimal
	RedrivenByAttribute = "registry-redriven-by" // who did it last, if that was said
)

func isRedriveAttribute(name string) bool {
	return name == RedriveAttribute || name == RedrivesAttribute || name == RedrivenByAttribute
}

// IsDeadLetterAttribute reports whether dead-lettering adds an attribute of this
// name. Redriving a dead letter takes these away again.
func IsDeadLetterAttribute(name string) bool {
	switch name {
	case ReasonAttribute, DetailAttribute, MessageIDAttribute, SubscriptionAttribute,
		PublishTimeAttribute, TruncatedAttribute, DroppedAttribute:
		return true
	}
	return false
}

// Pub/Sub's bounds on a message
// (https://cloud.google.com/pubsub/quotas#resource_limits).
const (
	maxAttributes      = 100
	maxAttributeValue  = 1024
	maxMessageBytes    = 10_000_000
	messageOverhead    = 1024 // topic name and framing, generously
	attributeOverhead  = 16   // framing of one attribute, generously
	deadLetterHeadroom = 7    // attributes that dead-lettering may add
	redriveHeadroom    = 3    // and a redrive
)

// newDeadLetter returns the message with the reason for its refusal. Pub/Sub must
// accept it with our attributes, or it would come back for ever. So a body that
// leaves no room for them is cut off at the end, and attributes that leave no room
// are left out, those of CloudEvents last. An attribute records each of these.
func newDeadLetter(m Message, refusal *events.Refusal) DeadLetter {
	attributes, dropped := keepAttributes(m.Attributes, maxAttributes-deadLetterHeadroom-redriveHeadroom)
	attributes[ReasonAttribute] = string(refusal.Reason)
	attributes[DetailAttribute] = truncate(strings.ToValidUTF8(refusal.Detail, "\uFFFD"), maxAttributeValue)
	attributes[MessageIDAttribute] = m.ID
	attributes[SubscriptionAttribute] = m.Subscription
	attributes[PublishTimeAttribute] = m.PublishTime.UTC().Format(time.RFC3339Nano)
	if dropped > 0 {
		attributes[DroppedAttribute] = strconv.Itoa(dropped)
	}

	room := maxMessageBytes - messageOverhead - attributeOverhead - len(TruncatedAttribute) - 20
	for k, v := range attributes {
		room -= len(k) + len(v) + attributeOverhead
	}
	data := m.Data
	if len(data) > room {
		attributes[TruncatedAttribute] = strconv.Itoa(len(data))
		data = data[:room]
	}
	return DeadLetter{Attributes: attributes, Data: data}
}

// keepAttributes copies at most limit attributes, and those of a redrive, without
// those of an earlier dead-lettering. It returns how many it left out for lack of
// room.
func keepAttributes(original map[string]string, limit int) (kept map[string]string, dropped int) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(original)), func(name string) bool {
		return IsDeadLetterAttribute(name) || isRedriveAttribute(name)
	})
	if len(names) > limit {
		slices.SortStableFunc(names, func(a, b string) int { return importance(a) - importance(b) })
		dropped = len(names) - limit
		names = names[:limit]
	}
	kept = make(map[string]string, len(names)+deadLetterHeadroom+redriveHeadroom)
	for _, name := range names {
		kept[name] = original[name]
	}
	for name, value := range original {
		if isRedriveAttribute(name) {
			kept[name] = value
		}
	}
	return kept, dropped
}

// importance orders attributes: the smaller, the longer it is kept.
func importance(attribute string) int {
	name := strings.ToLower(attribute)
	if name == "content-type" || strings.HasPrefix(name, "ce-") {
		return 0
	}
	return 1
}

// truncate cuts s off at a rune boundary.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
