package regstore

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A few documents that exist, as the first deliveries of a stream may be, say too little
// of the hundreds that come next.
func TestAFewDocumentsLetNoLargeChunkGoAheadUnread(t *testing.T) {
	for _, few := range []int{1, probe / 2, probe - 1} {
		var g guess
		g.learn(few/2, few)
		require.LessOrEqual(t, g.chunk(500), probe, "after %d documents", few)
	}
	var g guess
	g.learn(0, probe)
	require.Equal(t, 500, g.chunk(500))
	g.learn(probe, probe)
	require.Zero(t, g.chunk(500), "all of them exist: they are read first")
}
