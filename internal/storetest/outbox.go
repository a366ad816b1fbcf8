package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// OutboxPatience is that of a backend's stores, so that tests need few.
const OutboxPatience = 100 * time.Millisecond

// logged keeps what a store tells that its commits put into the outbox.
type logged struct {
	mu  sync.Mutex
	all []ownership.Logged
}

func listenTo(s ownership.Outbox) *logged {
	l := &logged{}
	s.OnLogged(func(e ownership.Logged) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, e)
	})
	return l
}

// ids are what was told so far, and forgets it.
func (l *logged) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := idsOf(l.all)
	l.all = nil
	return all
}

func idsOf(all []ownership.Logged) (ids []string) {
	for _, l := range all {
		for _, c := range l.Changes {
			id := string(c.Entry.Type) + " " + c.Entry.ID
			if c.Entry.Type == ownership.Moved && !c.OfLedger() {
				id += " " + c.Resource.String()
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func beginLog(t *testing.T, s ownership.Outbox) time.Time {
	t.Helper()
	since, began, err := s.BeginLog(t.Context())
	require.NoError(t, err)
	require.True(t, began)
	return since
}

// swept sweeps until n documents were published, and returns what they hold. One sweep
// finds those that have waited for long enough.
func swept(t *testing.T, s ownership.Outbox, n int) (all []ownership.Logged) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, err := s.SweepOutbox(t.Context(), "worker", func(_ context.Context, page []ownership.Logged) error {
			all = append(all, page...)
			return nil
		})
		require.NoError(t, err)
		require.Zero(t, state.Waiting)
		return len(all) >= n
	}, time.Minute, OutboxPatience/2)
	return all
}

func nothingWaits(t *testing.T, s ownership.Outbox) {
	t.Helper()
	time.Sleep(OutboxPatience) // else it would not count yet
	state, err := s.ReadOutbox(t.Context())
	require.NoError(t, err)
	require.Zero(t, state.Waiting)
	require.Zero(t, state.Age())
}

func outboxOfClaimsAndRetractions(t *testing.T, b Backend) {
	s := b.Open()
	none, err := s.LogSince(t.Context())
	require.NoError(t, err)
	require.Zero(t, none)
	since := beginLog(t, s)
	told, other := listenTo(s), b.Open()
	known, err := other.LogSince(t.Context())
	require.NoError(t, err)
	require.Equal(t, since, known)
	again, began, err := other.BeginLog(t.Context())
	require.NoError(t, err)
	require.False(t, began)
	require.Equal(t, since, again, "it began once")

	created, err := s.Claim(t.Context(), "t_a", thread("1"), registry.ForEvent("//nexus", "e1"))
	require.NoError(t, err)
	require.True(t, created)
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"), tenantMoved("t_c", "t_b", 5, "n"))
	o := s.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "kim", "a mistake")})[0]
	require.Equal(t, ownership.Applied, o.Kind)
	want := []string{"claimed thread__1__t_a", "retracted m"}
	require.Equal(t, want, told.ids())

	all := swept(t, other, 2)
	require.Equal(t, want, idsOf(all))
	record, _ := read(t, s, thread("1"))
	for _, l := range all {
		switch e := l.Changes[0].Entry; e.Type {
		case ownership.Claimed:
			require.Equal(t, thread("1"), l.Changes[0].Resource)
			require.True(t, e.Equal(record.History[0]))
			require.Equal(t, ownership.EventName{Source: "//nexus", ID: "e1"}, e.Event)
		case ownership.Retracted:
			said := stored(t, s)[0].Retractions[0]
			require.True(t, l.Changes[0].OfLedger())
			require.Equal(t, ownership.Said{By: "kim", Why: "a mistake", At: said.At}, ownership.Said{By: e.Actor, Why: e.Reason, At: e.Time.UTC()})
			require.Equal(t, "//nexus", e.Source)
		}
	}
	nothingWaits(t, s)
}

// Two moves that an operator makes beside the same ones of a topic: one of a whole tenant,
// and one of resources, of which one has lost a race.
func outboxOfMoves(t *testing.T, b Backend) {
	s := b.Open()
	beginLog(t, s)
	var creations, moves []ownership.Change
	for _, id := range []string{"1", "2", "3"} {
		creations = append(creations, created(thread(id), "t_a", 1, "e"+id))
		moves = append(moves, moved(thread(id), "t_a", "t_b", 5, "named"))
	}
	apply(t, s, creations...)
	moves = append(moves, tenantMoved("t_c", "t_d", 5, "whole"))
	for i := range moves {
		moves[i].ToLog = true
		moves[i].Entry.Actor, moves[i].Entry.Reason = "kim", "merger"
	}
	told := listenTo(s)
	require.Equal(t, kinds(ownership.Applied, ownership.Applied, ownership.Applied, ownership.Applied), apply(t, s, moves...))
	want := []string{"moved named thread/1", "moved named thread/2", "moved named thread/3", "moved whole"}
	require.Equal(t, want, told.ids())
	all := swept(t, b.Open(), 2)
	require.Equal(t, want, idsOf(all))
	require.Len(t, all, 2, "one document for what one event says")
	for _, l := range all {
		for _, c := range l.Changes {
			require.True(t, c.OfLedger() == (c.Entry.ID == "whole"))
			require.Equal(t, []string{"kim", "merger"}, []string{c.Entry.Actor, c.Entry.Reason})
		}
	}
	require.Equal(t, kinds(ownership.Duplicate, ownership.Duplicate, ownership.Duplicate, ownership.Duplicate), apply(t, s, moves...))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_c", "t_d", 6, "published")), "a topic has it")
	require.Empty(t, told.ids())

	both := moved(thread("1"), "t_b", "t_c", 6, "back")
	none := moved(thread("new"), "t_x", "t_y", 6, "back")
	both.ToLog, none.ToLog = true, true
	require.Equal(t, kinds(ownership.Applied, ownership.Applied), apply(t, s, both, none))
	require.Equal(t, []string{"moved back thread/1", "moved back thread/new"}, told.ids(), "of a document that was not there, too")
	nothing := created(thread("4"), "t_a", 1, "e4")
	nothing.ToLog = true
	require.ErrorIs(t, s.Apply(t.Context(), []ownership.Change{nothing})[0].Err, registry.ErrInvalid, "its topic has it")
	swept(t, s, 1)
	nothingWaits(t, s)
}

func outboxOfNothingElse(t *testing.T, b Backend) {
	s := b.Open()
	beginLog(t, s)
	_, err := s.Claim(t.Context(), "t_a", thread("1"))
	require.NoError(t, err)
	require.Equal(t, ownership.Applied, retract(t, s, "m"))
	swept(t, s, 2)

	told := listenTo(s)
	owned, err := s.Claim(t.Context(), "t_a", thread("1"))
	require.NoError(t, err)
	require.False(t, owned, "204")
	_, err = s.Claim(t.Context(), "t_b", thread("1"))
	require.ErrorIs(t, err, registry.ErrConflict)
	apply(t, s, created(thread("2"), "t_a", 1, "e2"), moved(thread("2"), "t_a", "t_b", 2, "e3"), tenantMoved("t_b", "t_c", 5, "m2"))
	fromArchive := created(thread("3"), "t_a", 1, "")
	fromArchive.Entry = ownership.ClaimEntry("t_a", thread("3"), second(1))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, fromArchive))
	back := stored(t, s)[0]
	if !back.Retracted() {
		back = stored(t, s)[1]
	}
	said := back.Retractions[0]
	known := ownership.Retraction(ownership.Version{Time: said.At, Source: back.Source, ID: back.ID}, said.By, said.Why)
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, known))
	require.Empty(t, told.ids())
	nothingWaits(t, s)

	require.Equal(t, ownership.Duplicate, retract(t, s, "m"), "it is retracted, and this was said before")
	require.Empty(t, told.ids())
	another := ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "somebody else", "")
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, another), "what is said now is kept")
	require.Equal(t, []string{"retracted m"}, told.ids())
}

func outboxNeedsALog(t *testing.T, b Backend) {
	s := b.Open()
	told := listenTo(s)
	_, err := s.Claim(t.Context(), "t_a", thread("1"))
	require.NoError(t, err)
	retract(t, s, "m")
	require.Empty(t, told.ids())
	nothingWaits(t, s)

	other := b.Open()
	beginLog(t, other)
	_, err = s.Claim(t.Context(), "t_a", thread("2"))
	require.NoError(t, err)
	require.Equal(t, []string{"claimed thread__2__t_a"}, told.ids(), "each write rests on a read of the head, which says it")
}

func outboxWaitsForItsTopic(t *testing.T, b Backend) {
	s := b.Open()
	beginLog(t, s)
	var want []string
	for _, id := range strings.Split("abcdefghijklmnop", "") { // so that several shards have some
		_, err := s.Claim(t.Context(), "t_a", thread(id))
		require.NoError(t, err)
		want = append(want, "claimed thread__"+id+"__t_a")
	}
	away := errors.New("the topic is away")
	var state ownership.OutboxState
	require.Eventually(t, func() bool {
		var err error
		state, err = s.SweepOutbox(t.Context(), "worker", func(context.Context, []ownership.Logged) error { return away })
		return errors.Is(err, away) && state.Waiting == int64(len(want))
	}, time.Minute, OutboxPatience/2)
	require.Greater(t, state.Age(), OutboxPatience)
	seen, err := b.Open().ReadOutbox(t.Context())
	require.NoError(t, err)
	require.Equal(t, state.Waiting, seen.Waiting)
	require.Equal(t, state.Oldest, seen.Oldest)
	require.GreaterOrEqual(t, seen.Age(), state.Age())
	require.Equal(t, want, idsOf(swept(t, b.Open(), len(want))), "who could not publish does not keep others from it")
	nothingWaits(t, s)
}
