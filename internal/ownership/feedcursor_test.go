package ownership_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

var feedTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// following is a cursor that begins at feedTime, and the names of what it tells.
func following() (*ownership.FeedCursor, *[]string) {
	told := &[]string{}
	c := ownership.NewFeedCursor(func(entries []ownership.FeedEntry) {
		for _, e := range entries {
			*told = append(*told, e.ID)
		}
	})
	c.Begin(feedTime)
	return c, told
}

func feedEntry(id string, after time.Duration) ownership.FeedEntry {
	return ownership.FeedEntry{ID: id, At: feedTime.Add(after)}
}

func TestAnEntryIsToldOnceWhereverItComesFrom(t *testing.T) {
	c, told := following()
	c.Tell(feedEntry("a", time.Second), feedEntry("b", time.Second))
	c.Tell(feedEntry("b", time.Second), feedEntry("c", 2*time.Second))
	c.Tell()
	require.Equal(t, []string{"a", "b", "c"}, *told)
	require.True(t, c.Knows("a", feedTime.Add(time.Second)))
	require.False(t, c.Knows("d", feedTime.Add(time.Second)))
	require.Equal(t, 3, c.Told())
}

func TestNamesOfWhatIsNotReadAgainAreForgotten(t *testing.T) {
	c, _ := following()
	c.Tell(feedEntry("a", time.Second), feedEntry("b", 2*time.Second))
	c.Advance(feedTime.Add(2*time.Second + time.Millisecond))
	require.Equal(t, feedTime.Add(2*time.Second), c.Floor(), "whole slices")
	require.Equal(t, 1, c.Told())
	c.Advance(feedTime.Add(time.Second))
	require.Equal(t, feedTime.Add(2*time.Second), c.Floor(), "it never goes back")
	c.Tell(feedEntry("early", time.Second))
	require.Equal(t, 1, c.Told())
	c.Begin(feedTime.Add(time.Minute))
	require.Zero(t, c.Told())
}

// What is not kept is told again, which does no harm.
func TestTheNamesThatAreKeptAreBounded(t *testing.T) {
	c, told := following()
	const n = 250_000
	for i := range n {
		c.Tell(feedEntry(fmt.Sprint(i), time.Second))
	}
	require.Less(t, c.Told(), n/2)
	c.Tell(feedEntry(fmt.Sprint(n-1), time.Second))
	require.Len(t, *told, n+1)
	c.Tell(feedEntry("0", time.Second))
	require.Len(t, *told, n+1)
}

// An entry may be counted as told by one who relies on it only when it was.
func TestAnEntryCountsAsToldOnlyWhenItWas(t *testing.T) {
	during := -1
	var c *ownership.FeedCursor
	telling, counted := make(chan struct{}), make(chan struct{})
	c = ownership.NewFeedCursor(func([]ownership.FeedEntry) { close(telling); <-counted })
	c.Begin(feedTime)
	go func() {
		<-telling
		go func() { during = c.Told(); counted <- struct{}{} }()
		counted <- struct{}{}
	}()
	c.Tell(feedEntry("a", time.Second))
	<-counted
	require.Equal(t, 1, during, "who asks meanwhile waits")
}
