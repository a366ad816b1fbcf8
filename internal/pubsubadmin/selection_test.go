package pubsubadmin_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

func TestASelectionMeansWhatMatchesAllThatItSays(t *testing.T) {
	t.Parallel() // it mostly waits
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	one := admin.DeadLetter{
		Reason: events.Conflict, Type: events.ThreadCreatedType, Subscription: threads, EventID: "e", MessageID: "m", RefusedAt: noon,
	}
	for name, c := range map[string]struct {
		which admin.Selection
		means bool
	}{
		"everything":          {admin.Selection{}, true},
		"its reason":          {admin.Selection{Reasons: []events.Reason{events.Schema, events.Conflict}}, true},
		"another reason":      {admin.Selection{Reasons: []events.Reason{events.Schema}}, false},
		"its type":            {admin.Selection{Types: []events.Type{events.ThreadCreatedType}}, true},
		"another type":        {admin.Selection{Types: []events.Type{events.TenantMovedType}}, false},
		"its subscription":    {admin.Selection{Subscriptions: []string{threads}}, true},
		"another one":         {admin.Selection{Subscriptions: []string{moves}}, false},
		"its event's id":      {admin.Selection{IDs: []string{"e"}}, true},
		"its message's id":    {admin.Selection{IDs: []string{"m"}}, true},
		"another id":          {admin.Selection{IDs: []string{"n"}}, false},
		"since then":          {admin.Selection{After: noon}, true},
		"since later":         {admin.Selection{After: noon.Add(1)}, false},
		"before later":        {admin.Selection{Before: noon.Add(1)}, true},
		"before then":         {admin.Selection{Before: noon}, false},
		"its reason, not age": {admin.Selection{Reasons: []events.Reason{events.Conflict}, Before: noon}, false},
	} {
		require.Equal(t, c.means, c.which.Matches(one), name)
	}
}

func TestOnlyWhatIsMeantIsRedrivenCountedAndPurged(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	bury(t, c, letter(events.Conflict, "a"), letter(events.UnknownType, "b"), letter(events.UnknownType, "c"),
		letter(events.Malformed, "d", "ce-id", "", "ce-type", ""), letter(events.Schema, "e", consumer.RedrivesAttribute, "2"))

	tally, err := admin.CountDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: idle})
	require.NoError(t, err)
	require.Equal(t, 5, tally.Total)
	require.Len(t, tally.Sorts, 4)
	require.Equal(t, events.UnknownType, tally.Sorts[0].Reason, "the most first")
	require.Equal(t, 2, tally.Sorts[0].Count)
	require.Equal(t, 1, tally.Sorts[3].Redriven, "that is schema")
	require.Equal(t, 7*24*time.Hour, tally.Kept, "the emulator keeps no longer")

	unknown := redriving(idle)
	unknown.Reasons = []events.Reason{events.UnknownType}
	unknown.DryRun = true
	report, err := admin.Redrive(t.Context(), c, deadLetters, unknown)
	require.NoError(t, err)
	require.Equal(t, [4]int{2, 0, 0, 0}, figures(report))
	require.Len(t, waiting(t, c), 5, "a dry run takes none")

	unknown.DryRun = false
	report, err = admin.Redrive(t.Context(), c, deadLetters, unknown)
	require.NoError(t, err)
	require.Equal(t, [4]int{2, 0, 0, 0}, figures(report))
	require.ElementsMatch(t, []string{"a", "", "e"}, waiting(t, c))
	receive(t, c, threads, 2)

	malformed := admin.PurgeOptions{Selection: admin.Selection{Idle: idle, Reasons: []events.Reason{events.Malformed, events.Schema}}}
	malformed.DryRun = true
	purged, err := admin.Purge(t.Context(), c, deadLetters, malformed)
	require.NoError(t, err)
	require.Equal(t, 2, purged.Total)
	require.Len(t, waiting(t, c), 3)
	malformed.DryRun = false
	purged, err = admin.Purge(t.Context(), c, deadLetters, malformed)
	require.NoError(t, err)
	require.Equal(t, 2, purged.Total)
	require.Equal(t, []string{"a"}, waiting(t, c))
}

func TestALetterThatCouldNotBeNotedIsNotDiscarded(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	bury(t, c, letter(events.Conflict, "a"), letter(events.Conflict, "b"))
	noted := ""
	full := errors.New("disk full")
	purged, err := admin.Purge(t.Context(), c, deadLetters, admin.PurgeOptions{Selection: admin.Selection{Idle: idle}, Each: func(l admin.DeadLetter) error {
		if noted != "" {
			return full
		}
		noted = l.EventID
		return nil
	}})
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, purged.Total)
	left := waiting(t, c)
	require.Len(t, left, 1)
	require.NotContains(t, left, noted)
}

func TestALetterIsRedrivenForSoOftenAndNoMore(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	worn := func(id, n string) map[string]string {
		return letter(events.Conflict, id, consumer.RedrivesAttribute, n)
	}
	bury(t, c, worn("a", "3"), worn("b", "2"), worn("c", "of a stranger"), worn("d", "-1"), worn("e", "65535"))
	options := redriving(idle)
	options.Limit = 3 // those that are left do not count
	report, err := admin.Redrive(t.Context(), c, deadLetters, options)
	require.NoError(t, err)
	require.Equal(t, [4]int{3, 0, 2, 0}, figures(report))
	require.ElementsMatch(t, []string{"a", "e"}, waiting(t, c))
	counts := map[string]string{}
	for _, m := range receive(t, c, threads, 3) {
		counts[m.Attributes["ce-id"]] = m.Attributes[consumer.RedrivesAttribute]
	}
	require.Equal(t, map[string]string{"b": "3", "c": "1", "d": "1"}, counts)

	options.MaxRedrives = 4
	report, err = admin.Redrive(t.Context(), c, deadLetters, options)
	require.NoError(t, err)
	require.Equal(t, [4]int{1, 0, 1, 0}, figures(report))
}

func TestStrangersCannotMakeATallyLarge(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	var forged []map[string]string
	for i := range 1100 {
		forged = append(forged, letter(events.Reason(fmt.Sprint("r", i)), "x"))
	}
	bury(t, c, forged...)
	tally, err := admin.CountDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: idle})
	require.NoError(t, err)
	require.Equal(t, 1100, tally.Total)
	require.Len(t, tally.Sorts, 1001)
	require.Equal(t, 100, tally.Sorts[0].Count, "all others")
}

// Looking counts as an attempt to deliver, and a policy of Pub/Sub's own would take
// the letters away after some.
func TestLettersAreNotLookedAtWhereThatWouldTakeThemAway(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	bury(t, c, letter(events.Conflict, "a"))
	other := c.Publisher("other").String()
	_, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: other})
	require.NoError(t, err)
	s := subscription(t, c, deadLetters)
	s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: other, MaxDeliveryAttempts: 5}
	_, err = c.SubscriptionAdminClient.UpdateSubscription(t.Context(), &pubsubpb.UpdateSubscriptionRequest{
		Subscription: s, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"dead_letter_policy"}},
	})
	require.NoError(t, err)
	_, _, err = admin.ListDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: idle})
	require.ErrorContains(t, err, "`registry-worker provision` removes it")

	_, err = admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	for range 6 {
		require.Equal(t, []string{"a"}, waiting(t, c), "it stays, however often it is looked at")
	}
}
