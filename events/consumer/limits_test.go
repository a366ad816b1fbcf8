package consumer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllStreamsTogetherFetchNoMoreThanMayBeOutstanding(t *testing.T) {
	limits := Limits{Messages: 10_000, Bytes: 64 << 20}
	for _, subscriptions := range [][]string{{"a"}, {"a", "b", "c"}, make([]string, 20)} {
		p := &PubSub{opts: PubSubOptions{Subscriptions: subscriptions, Streams: 8}}
		each := p.receiveSettings(limits)
		streams := each.NumGoroutines * len(subscriptions)
		require.LessOrEqual(t, each.MaxOutstandingMessages*streams, limits.Messages)
		require.Greater(t, each.MaxOutstandingMessages*streams, limits.Messages*9/10)
		require.LessOrEqual(t, int64(each.MaxOutstandingBytes*streams), limits.Bytes)
	}
	few := (&PubSub{opts: PubSubOptions{Subscriptions: []string{"a", "b"}, Streams: 8}}).receiveSettings(Limits{Messages: 5, Bytes: 5})
	require.Equal(t, 1, few.MaxOutstandingMessages, "0 would be the client's default")
	require.Equal(t, 1, few.MaxOutstandingBytes)
}
