package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func changes(t *testing.T, s ownership.Feed, after time.Time) ownership.FeedBatch {
	t.Helper()
	batch, err := s.Changes(context.Background(), after)
	require.NoError(t, err)
	require.False(t, batch.At.Before(after))
	return batch
}

func resourcesOf(batch ownership.FeedBatch) []registry.Resource {
	var resources []registry.Resource
	for _, e := range batch.Entries {
		resources = append(resources, e.Resource)
	}
	return resources
}

func feedBegins(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), moved(thread("1"), "t_a", "t_b", 2, "e2"))
	apply(t, s, tenantMoved("t_x", "t_y", 3, "m"))
	batch := changes(t, s, time.Time{})
	require.True(t, batch.Missed, "nothing from before may be relied on")
	require.Empty(t, batch.Entries)
	require.EqualValues(t, 1, batch.Ledger.Seq())
	require.False(t, batch.At.IsZero())
	require.False(t, changes(t, s, batch.At).Missed)
}

func feedTellsChanges(t *testing.T, b Backend) {
	writer, reader := b.Open(), b.Open()
	apply(t, writer, created(thread("1"), "t_a", 1, "e1"))
	begin := changes(t, reader, time.Time{})
	apply(t, writer, created(thread("2"), "t_a", 1, "e2"))
	require.Empty(t, changes(t, reader, begin.At).Entries, "what is new is copied nowhere")

	apply(t, writer, moved(thread("1"), "t_a", "t_b", 2, "m1"))
	batch := changes(t, reader, begin.At)
	require.Equal(t, []registry.Resource{thread("1")}, resourcesOf(batch))
	require.False(t, batch.Entries[0].At.Before(batch.From))
	require.False(t, batch.Missed)
	again := changes(t, reader, begin.At)
	require.Equal(t, batch.Entries, again.Entries, "who asks again is told again, by the same names")

	apply(t, writer, tenantMoved("t_b", "t_c", 3, "m2"))
	batch = changes(t, reader, batch.At)
	require.EqualValues(t, 1, batch.Ledger.Seq())
	require.Equal(t, kinds(ownership.Applied)[0], writer.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m2"}, "", "")})[0].Kind)
	require.EqualValues(t, 2, changes(t, reader, batch.At).Ledger.Seq())
}

// Each round changes a history, then the ledger, then the next history: a batch
// that mixed two times would show a ledger without the change before it, or a
// change without the ledger before it.
func feedIsOfOneTime(t *testing.T, b Backend) {
	const rounds = 40
	writer, reader := b.Open(), b.Open()
	for i := range rounds {
		apply(t, writer, created(thread(fmt.Sprint(i)), "t_a", 1, fmt.Sprint("e", i)))
	}
	begin := changes(t, reader, time.Time{})
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		defer close(done)
		for i := range rounds {
			apply(t, writer, moved(thread(fmt.Sprint(i)), "t_a", "t_b", 2, fmt.Sprint("h", i)))
			apply(t, writer, tenantMoved("t_x", "t_y", i, fmt.Sprint("l", i)))
		}
	})
	told, cursor := map[string]bool{}, begin.At
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		batch := changes(t, reader, cursor)
		require.False(t, batch.Missed)
		for _, e := range batch.Entries {
			told[e.ID] = true
		}
		cursor = batch.At
		require.GreaterOrEqual(t, len(told), int(batch.Ledger.Seq()))
		require.LessOrEqual(t, len(told), int(batch.Ledger.Seq())+1)
	}
	require.Len(t, told, rounds, "nothing that was acknowledged is missing")
	running.Wait()
}

func feedListener(t *testing.T, b Backend) {
	writer, reader := b.Open(), b.Open()
	apply(t, writer, created(thread("1"), "t_a", 1, "e1"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	notices, ended := make(chan ownership.Notice, 1000), make(chan error, 1)
	go func() { ended <- reader.Listen(ctx, func(n ownership.Notice) { notices <- n }) }()
	<-notices // it listens, or will in a moment

	await := func(what string, write func(attempt int), is func(ownership.Notice) bool) {
		t.Helper()
		for attempt := range 30 { // it may miss some
			write(attempt)
			deadline := time.After(time.Second)
			for told := false; !told; {
				select {
				case n := <-notices:
					if is(n) {
						return
					}
				case <-deadline:
					told = true
				}
			}
		}
		require.Fail(t, "not told of "+what)
	}
	await("a history", func(i int) {
		apply(t, writer, moved(thread("1"), "t_a", "t_b", 2+i, fmt.Sprint("h", i)))
	}, func(n ownership.Notice) bool {
		return len(n.Entries) > 0 && n.Entries[0].Resource == thread("1") && n.Entries[0].ID != ""
	})
	await("the ledger", func(i int) {
		apply(t, writer, tenantMoved("t_x", "t_y", i, fmt.Sprint("l", i)))
	}, func(n ownership.Notice) bool { return n.Seq > 0 })
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrUnavailable)
}
