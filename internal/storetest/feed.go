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

// follower follows a store's feed, and keeps what it was told.
type follower struct {
	t      *testing.T
	store  ownership.Feed
	cursor *ownership.FeedCursor
	told   []ownership.FeedEntry
}

func follow(t *testing.T, s ownership.Feed) *follower {
	f := &follower{t: t, store: s}
	f.cursor = ownership.NewFeedCursor(func(entries []ownership.FeedEntry) { f.told = append(f.told, entries...) })
	return f
}

// read reads the feed, and returns which resources it told of.
func (f *follower) read() (ownership.FeedBatch, []registry.Resource) {
	f.t.Helper()
	f.told = nil
	batch, err := f.store.Changes(context.Background(), f.cursor)
	require.NoError(f.t, err)
	var resources []registry.Resource
	for _, e := range f.told {
		require.NoError(f.t, e.Unread)
		resources = append(resources, e.Resources...)
	}
	return batch, resources
}

func feedBegins(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), moved(thread("1"), "t_a", "t_b", 2, "e2"))
	apply(t, s, tenantMoved("t_x", "t_y", 3, "m"))
	f := follow(t, s)
	batch, told := f.read()
	require.True(t, batch.Missed, "nothing from before may be relied on")
	require.Empty(t, told)
	require.EqualValues(t, 1, batch.Ledger.Position())
	require.False(t, batch.At.IsZero())
	batch, _ = f.read()
	require.False(t, batch.Missed)
}

func feedTellsChanges(t *testing.T, b Backend) {
	writer, f := b.Open(), follow(t, b.Open())
	apply(t, writer, created(thread("1"), "t_a", 1, "e1"))
	f.read()
	apply(t, writer, created(thread("2"), "t_a", 1, "e2"))
	_, told := f.read()
	require.Empty(t, told, "what is new is copied nowhere")

	apply(t, writer, moved(thread("1"), "t_a", "t_b", 2, "m1"))
	batch, told := f.read()
	require.Equal(t, []registry.Resource{thread("1")}, told)
	require.False(t, batch.Missed)
	_, told = f.read()
	require.Empty(t, told, "nobody is told twice")

	apply(t, writer, tenantMoved("t_b", "t_c", 3, "m2"))
	batch, told = f.read()
	require.Empty(t, told)
	require.EqualValues(t, 1, batch.Ledger.Position())
	require.Equal(t, kinds(ownership.Applied)[0], writer.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m2"}, "", "")})[0].Kind)
	batch, _ = f.read()
	require.EqualValues(t, 2, batch.Ledger.Position())
}

// One commit is one entry, whatever it changes.
func feedNamesAll(t *testing.T, b Backend) {
	const n = 120
	writer, f := b.Open(), follow(t, b.Open())
	var creations, moves []ownership.Change
	var all []registry.Resource
	for i := range n {
		r := thread(fmt.Sprintf("%03d", i))
		all = append(all, r)
		creations = append(creations, created(r, "t_a", 1, fmt.Sprint("e", i)))
		moves = append(moves, moved(r, "t_a", "t_b", 2, "m"))
	}
	apply(t, writer, creations...)
	f.read()
	apply(t, writer, moves...)
	_, told := f.read()
	require.Len(t, f.told, 1)
	require.Equal(t, all, told)
	apply(t, writer, moved(thread("000"), "t_b", "t_c", 3, "m3"))
	_, told = f.read()
	require.Equal(t, all[:1], told)
}

// If no earlier release may take part the feed is spread over shards. Who does
// not know yet that this has changed writes as before.
func feedIsSpread(t *testing.T, b Backend) {
	early, late, f := b.Open(), b.Open(), follow(t, b.Open())
	apply(t, early, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	apply(t, late, created(thread("3"), "t_a", 1, "e3"))
	f.read()
	n := 1
	moves := func(writers ...Store) {
		t.Helper()
		for _, w := range writers {
			n++
			apply(t, w, moved(thread("1"), "t_a", "t_b", n, fmt.Sprint("m", n)), moved(thread("2"), "t_a", "t_b", n, fmt.Sprint("m", n)))
			apply(t, w, moved(thread("1"), "t_a", "t_b", n, fmt.Sprint("n", n)))
		}
		_, told := f.read()
		require.Len(t, told, 3*len(writers))
		require.Len(t, b.Feed(), 3*(n-1), "whatever the layout, a commit has one entry, of which all is told")
	}
	moves(early, late)
	for _, least := range []int64{ownership.Format, 1, ownership.Format} {
		b.SetHead("min_reader", least)
		b.SetHead("min_writer", least)
		read(t, late, thread("1")) // the others have not heard of it
		moves(early, late)
		moves(early, late)
		read(t, early, thread("1"))
		moves(early, late)
	}
	g := follow(t, b.Open()) // one that comes later
	g.read()
	g.read() // of what is as old as a commit may take
	moves(late)
	_, told := g.read()
	require.Len(t, told, 3)
}

// Each round changes a history, then the ledger, then the next history: a batch
// that mixed two times would show a ledger without the change before it, or a
// change without the ledger before it.
func feedIsOfOneTime(t *testing.T, b Backend) {
	const rounds = 40
	writer, f := b.Open(), follow(t, b.Open())
	for i := range rounds {
		apply(t, writer, created(thread(fmt.Sprint(i)), "t_a", 1, fmt.Sprint("e", i)))
	}
	f.read()
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		defer close(done)
		for i := range rounds {
			apply(t, writer, moved(thread(fmt.Sprint(i)), "t_a", "t_b", 2, fmt.Sprint("h", i)))
			apply(t, writer, tenantMoved("t_x", "t_y", i, fmt.Sprint("l", i)))
		}
	})
	told := map[string]bool{}
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		batch, _ := f.read()
		require.False(t, batch.Missed)
		for _, e := range f.told {
			told[e.ID] = true
		}
		require.GreaterOrEqual(t, len(told), int(batch.Ledger.Position()))
		require.LessOrEqual(t, len(told), int(batch.Ledger.Position())+1)
	}
	require.Len(t, told, rounds, "nothing that was acknowledged is missing")
	running.Wait()
}

func feedListener(t *testing.T, b Backend) {
	writer, reader := b.Open(), b.Open()
	apply(t, writer, created(thread("1"), "t_a", 1, "e1"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entries, positions, ended := make(chan ownership.FeedEntry, 1000), make(chan int64, 1000), make(chan error, 1)
	cursor := ownership.NewFeedCursor(func(told []ownership.FeedEntry) {
		for _, e := range told {
			entries <- e
		}
	})
	go func() { ended <- reader.Listen(ctx, cursor, func(position int64) { positions <- position }) }()
	<-positions // it listens, or will in a moment

	await(t, "a history", entries, func(i int) {
		apply(t, writer, moved(thread("1"), "t_a", "t_b", 2+i, fmt.Sprint("h", i)))
	}, func(e ownership.FeedEntry) bool { return e.Resources[0] == thread("1") && e.ID != "" })
	await(t, "the ledger", positions, func(i int) {
		apply(t, writer, tenantMoved("t_x", "t_y", i, fmt.Sprint("l", i)))
	}, func(position int64) bool { return position > 0 })
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrUnavailable)
}

// await writes until it is told: a listener may miss some.
func await[T any](t *testing.T, what string, told <-chan T, write func(attempt int), is func(T) bool) {
	t.Helper()
	for attempt := range 30 {
		write(attempt)
		for deadline := time.After(time.Second); ; {
			select {
			case one := <-told:
				if is(one) {
					return
				}
				continue
			case <-deadline:
			}
			break
		}
	}
	require.Fail(t, "not told of "+what)
}
