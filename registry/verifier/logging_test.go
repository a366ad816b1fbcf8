package verifier_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// logLines keeps what is logged, a JSON object each.
type logLines struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var line map[string]any
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&line); err != nil {
		return 0, err
	}
	l.lines = append(l.lines, line)
	return len(b), nil
}

func TestTheSameMissIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		v := newVerifier(t, memregistry.New(), verifier.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		for range 150 { // over 2½ minutes
			require.Error(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
			time.Sleep(time.Second)
		}
		require.Len(t, log.lines, 3)
		for i, suppressed := range []any{nil, 59., 59.} {
			line := log.lines[i]
			require.Equal(t, "access refused", line["msg"])
			require.Equal(t, "t_ann", line["tenant_id"])
			require.Equal(t, "thread/th_1", line["resource"])
			require.Equal(t, "unregistered", line["cause"])
			require.Equal(t, suppressed, line["suppressed"])
		}
	})
}

func TestAnEnumerationNeitherFloodsTheLogNorGrowsMemory(t *testing.T) {
	const ids, seconds = 60_000, 10
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		m := measured{reader: sdkmetric.NewManualReader()}
		v := newVerifier(t, memregistry.New(), verifier.Options{
			Logger:        slog.New(slog.NewJSONHandler(&log, nil)),
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)),
		})
		url := strings.Repeat("x", 4096) // what an id is cut out of, must not be kept
		before := heap()
		for i := range ids {
			text := fmt.Sprintf("th_%08d%s", i, url)
			_ = v.VerifyThreadAccess(t.Context(), "t_ann", text[:11])
			if i%(ids/seconds) == 0 {
				time.Sleep(time.Second)
			}
		}
		require.Less(t, heap()-before, int64(6<<20), "bytes that stay")
		runtime.KeepAlive(v)
		require.LessOrEqual(t, len(log.lines), 50+10*(seconds+1))
		m.collect(t)
		require.EqualValues(t, ids, m.counts["refusals{cause=unregistered,kind=thread}"], "held back from the log, not from the counter")
	})
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
