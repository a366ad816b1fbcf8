package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

func deleted(r registry.Resource, n int) ownership.Change {
	return ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: second(n)}}}
}

func deletionAbsorbs(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 5, "e1"), moved(thread("1"), "t_a", "t_b", 6, "m"))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, deleted(thread("1"), 1)), "no matter who owns it by then, and what its time is")
	feed := b.Feed()
	require.Equal(t, thread("1"), feed[len(feed)-1], "caches are told")

	require.Equal(t, kinds(ownership.Gone, ownership.Gone, ownership.Gone, ownership.Duplicate), apply(t, b.Open(),
		created(thread("1"), "t_a", 5, "e1"), created(thread("1"), "t_c", 0, "e2"), moved(thread("1"), "t_a", "t_c", 9, "m2"), deleted(thread("1"), 7)))
	apply(t, s, tenantMoved("t_a", "t_d", 50, "everything"))
	claimed, err := s.Claim(context.Background(), "t_a", thread("1"))
	require.ErrorIs(t, err, registry.ErrConflict)
	require.False(t, claimed)
	_, err = s.Owner(context.Background(), thread("1"))
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.Len(t, b.Feed(), len(feed), "nothing changed since")
}

func deletionFirst(t *testing.T, b Backend) {
	s := b.Open()
	require.Equal(t, kinds(ownership.Applied), apply(t, s, deleted(thread("1"), 9)))
	require.Empty(t, b.Feed(), "there was nothing to be kept in memory")
	require.Equal(t, kinds(ownership.Gone), apply(t, s, created(thread("1"), "t_a", 5, "e1")))
	_, err := b.Open().Claim(context.Background(), "t_a", thread("1"))
	require.ErrorIs(t, err, registry.ErrConflict, "a process that knows nothing of it, and creates without a look")
	require.Equal(t, kinds(ownership.Applied), apply(t, s, deleted(thread("1"), 3)), "of two deletions the first is kept")
	record, _ := read(t, s, thread("1"))
	require.Equal(t, second(3), record.History[0].Time)
}

func tombstoneNamesNothing(t *testing.T, b Backend) {
	s := b.Open()
	_, err := s.Claim(context.Background(), "t_a", thread("1"), registry.ForEvent("//jane.doe", "e1"))
	require.NoError(t, err)
	apply(t, s, moved(thread("1"), "t_a", "t_b", 7, "m"), moved(thread("1"), "t_a", "t_c", 6, "m")) // which displaces the first
	b.SetField("thread__1", "note", "of t_a")
	apply(t, s, deleted(thread("1"), 8))

	fields := b.Fields("thread__1")
	expires := time.Until(fields["expires_at"].(time.Time))
	require.InDelta(t, (400 * 24 * time.Hour).Hours(), expires.Hours(), 1)
	delete(fields, "expires_at")
	require.Equal(t, map[string]any{
		"tenant_id": nil, // direct readers find no tenant, and no missing field
		"history":   []any{map[string]any{"type": "deleted", "time": "2024-01-01T00:00:08Z"}},
		"format":    int64(3),
	}, fields, "neither a tenant, nor an event, nor what others put there")
}

func tombstoneSetFromOutside(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), deleted(thread("1"), 2))
	b.SetPlain("thread__1", "t_p", true)
	require.Empty(t, owner(t, s, thread("1")), "a set that leaves our fields has no effect")
	require.Equal(t, kinds(ownership.Gone), apply(t, s, created(thread("1"), "t_a", 1, "e1")))
	require.Empty(t, written(t, s, thread("1")), "and is undone by the next delivery")

	b.SetPlain("thread__1", "t_p", false)
	require.Equal(t, "t_p", owner(t, s, thread("1")), "a plain set leaves nothing of a tombstone")
	apply(t, s, deleted(thread("1"), 2))
	require.Empty(t, owner(t, s, thread("1")), "until the deletion comes again")
}

// deletionConverges delivers random events with deletions among them, in any order
// and split, some of them twice, and claims meanwhile.
func deletionConverges(t *testing.T, b Backend) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		var ref reference.Registry
		var deliveries []ownership.Change
		for n := range 60 {
			c := randomChange(random, fmt.Sprint("d", seed), n)
			if random.IntN(8) == 0 && c.Resource != (registry.Resource{}) {
				c = deleted(c.Resource, random.IntN(40))
			}
			ref.Add(c)
			deliveries = append(deliveries, c)
			if random.IntN(4) == 0 {
				deliveries = append(deliveries, c)
			}
		}
		random.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
		deliver(t, b, deliveries, random)

		s := b.Open()
		for resource, want := range ref.Owners() {
			require.Equal(t, want, owner(t, s, resource), "seed %d, %s", seed, resource)
			if want == "" {
				_, err := s.Claim(context.Background(), "t_x", resource)
				require.ErrorIs(t, err, registry.ErrConflict)
			}
		}
	}
}
