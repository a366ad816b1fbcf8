package judge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// An hour has half a million answers, which must not have to be in memory one by one.
func TestAnswersTakeAFewBytesOfMemoryEach(t *testing.T) {
	const n, most = 50_000, 40 // bytes
	name := filepath.Join(t.TempDir(), "history.ndjson")
	file, err := os.Create(name)
	require.NoError(t, err)
	out := bufio.NewWriter(file)
	for i := range int64(n) {
		r := answer(judge.Check, fmt.Sprint("t_", i%97), 3, 204)
		r.At, r.Until, r.Resource = r.At+i*7919, r.Until+i*7919, fmt.Sprint("thread/th_", i%1009)
		require.NoError(t, json.NewEncoder(out).Encode(r))
	}
	require.NoError(t, out.Flush())
	require.NoError(t, file.Close())
	before := heap()
	h, err := judge.Read(context.Background(), []string{name}, nil)
	require.NoError(t, err)
	require.Less(t, heap()-before, int64(most*n))
	runtime.KeepAlive(h)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
