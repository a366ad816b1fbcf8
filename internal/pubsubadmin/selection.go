package pubsubadmin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// A Selection selects the dead letters that match every field that is set. The zero
// value selects all of them.
type Selection struct {
	Reasons       []events.Reason
	Types         []events.Type
	Subscriptions []string  // short names
	IDs           []string  // of events, or of the messages that were refused
	After, Before time.Time // refused at After or later; before Before
	Limit         int       // at most so many; 0: any number

	// Idle is how long no dead letter must come before there are taken to be no
	// more: Pub/Sub cannot say that a subscription is empty. Default: DefaultIdle.
	Idle time.Duration
}

// DefaultIdle is the default of Selection.Idle.
const DefaultIdle = 5 * time.Second

// Matches reports whether the letter is selected, if Limit allows it.
func (s Selection) Matches(l DeadLetter) bool {
	return among(s.Reasons, l.Reason) && among(s.Types, l.Type) &&
		among(s.Subscriptions, subscription.Short(l.Subscription)) &&
		(among(s.IDs, l.EventID) || among(s.IDs, l.MessageID)) &&
		(s.After.IsZero() || !l.RefusedAt.Before(s.After)) &&
		(s.Before.IsZero() || l.RefusedAt.Before(s.Before))
}

func among[T comparable](all []T, one T) bool { return len(all) == 0 || slices.Contains(all, one) }

// Extent is how much of the dead letters a command has seen.
type Extent struct {
	// More reports that there are more letters than were looked at, or may be.
	More bool
	// Kept is how long the subscription keeps a letter; 0 if it is not known.
	Kept time.Duration
}

// leased is a letter, and the id by which it is acknowledged.
type leased struct {
	ackID  string
	letter DeadLetter
}

// visit calls act with the selected letters, batch by batch. act returns the ids of
// those that it is done with, which are acknowledged then. skip may be nil; it is
// asked first, and what it takes is not looked at further.
func (s Selection) visit(ctx context.Context, client *pubsub.Client, name string,
	skip func(DeadLetter) bool, act func([]leased) (ack []string, err error)) (Extent, error) {
	taken, over := 0, false
	done := map[string]bool{} // by message id: false if it is held
	extent, err := visit(ctx, client, name, cmp.Or(s.Idle, DefaultIdle), func(batch []*pubsubpb.ReceivedMessage) (ack []string, stop bool, err error) {
		var meant []leased
		for _, m := range batch {
			acknowledged, seen := done[m.Message.MessageId]
			if acknowledged {
				ack = append(ack, m.AckId)
			}
			if seen { // delivered a second time
				continue
			}
			done[m.Message.MessageId] = false
			letter := parseDeadLetter(m.Message)
			if skip != nil && skip(letter) || !s.Matches(letter) {
				continue
			}
			if s.Limit > 0 && taken == s.Limit {
				over = true
				break
			}
			taken++
			meant = append(meant, leased{m.AckId, letter})
		}
		settled, err := act(meant)
		for _, m := range batch {
			if slices.Contains(settled, m.AckId) {
				done[m.Message.MessageId] = true
			}
		}
		return append(ack, settled...), over, err
	})
	extent.More = extent.More || over
	return extent, err
}
