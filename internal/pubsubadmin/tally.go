package pubsubadmin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
)

// Tally is how many dead letters there are of which sort.
type Tally struct {
	Extent
	Total  int
	Sorts  []Sort    // those with most letters first
	Newest time.Time // when the last of them was refused; zero if there are none
	Oldest time.Time
}

// Sort is the dead letters of one reason, type and subscription.
type Sort struct {
	Reason       events.Reason
	Type         events.Type // empty: not told
	Subscription string
	Count        int
	Redriven     int // of these, how many were published again before
	Oldest       time.Time
	Newest       time.Time
}

// maxSorts bounds a tally: reasons, types and subscriptions are texts of strangers
// if others than the worker publish dead letters. All others are counted as one
// sort, without any of the three.
const maxSorts = 1000

// CountDeadLetters counts the selected dead letters. Like ListDeadLetters it
// consumes none.
func CountDeadLetters(ctx context.Context, client *pubsub.Client, subscription string, which Selection) (Tally, error) {
	var c counting
	extent, err := which.visit(ctx, client, subscription, nil, func(batch []leased) ([]string, error) {
		for _, l := range batch {
			c.add(l.letter)
		}
		return nil, nil
	})
	if err != nil {
		err = fmt.Errorf("count dead letters: %w", err)
	}
	return c.tally(extent), err
}

// sortKey is what makes a sort.
type sortKey struct {
	reason       events.Reason
	typ          events.Type
	subscription string
}

// counting makes a tally.
type counting struct {
	total int
	sorts map[sortKey]*Sort
}

func (c *counting) add(l DeadLetter) {
	c.total++
	key := sortKey{l.Reason, l.Type, l.Subscription}
	if c.sorts == nil {
		c.sorts = map[sortKey]*Sort{}
	}
	if c.sorts[key] == nil && len(c.sorts) >= maxSorts {
		key = sortKey{}
	}
	s := c.sorts[key]
	if s == nil {
		s = &Sort{Reason: key.reason, Type: key.typ, Subscription: key.subscription, Oldest: l.RefusedAt}
		c.sorts[key] = s
	}
	s.Count++
	if l.Redrives > 0 {
		s.Redriven++
	}
	if l.RefusedAt.Before(s.Oldest) {
		s.Oldest = l.RefusedAt
	}
	if l.RefusedAt.After(s.Newest) {
		s.Newest = l.RefusedAt
	}
}

func (c *counting) tally(extent Extent) Tally {
	t := Tally{Extent: extent, Total: c.total}
	for _, s := range c.sorts {
		t.Sorts = append(t.Sorts, *s)
		if t.Oldest.IsZero() || s.Oldest.Before(t.Oldest) {
			t.Oldest = s.Oldest
		}
		if s.Newest.After(t.Newest) {
			t.Newest = s.Newest
		}
	}
	slices.SortFunc(t.Sorts, func(a, b Sort) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Subscription, b.Subscription))
	})
	return t
}
