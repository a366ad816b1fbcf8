package fsquota_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// What others have written into a window's document: it counts as far as it means
// anything, and locks nobody out for longer than a window.
func TestADamagedWindowLocksNobodyOut(t *testing.T) {
	project := emulatortest.Firestore(t)
	client, store := outsider(t, project), open(t, project, "")
	now := float64(time.Now().UnixMicro()) / 1e6
	const limit = 10
	for name, c := range map[string]struct {
		document map[string]any
		left     int64
	}{
		"last reset far ahead":      {map[string]any{"last_reset": 9e18, "count": 100}, limit},
		"last reset a day ahead":    {map[string]any{"last_reset": now + 86400, "count": 100}, limit},
		"last reset seconds ahead":  {map[string]any{"last_reset": now + 20, "count": 4}, limit - 4},
		"last reset infinite":       {map[string]any{"last_reset": math.Inf(1), "count": 100}, limit},
		"last reset minus infinite": {map[string]any{"last_reset": math.Inf(-1), "count": 100}, limit},
		"last reset no number":      {map[string]any{"last_reset": math.NaN(), "count": 100}, limit},
		"last reset of text":        {map[string]any{"last_reset": "now", "count": 100}, limit},
		"last reset a timestamp":    {map[string]any{"last_reset": time.Now(), "count": 100}, limit},
		"last reset null":           {map[string]any{"last_reset": nil, "count": 100}, limit},
		"last reset absent":         {map[string]any{"count": 100}, limit},
		"last reset whole":          {map[string]any{"last_reset": int64(now), "count": 4}, limit - 4},
		"count no number":           {map[string]any{"last_reset": now, "count": math.NaN()}, limit},
		"count negative":            {map[string]any{"last_reset": now, "count": -100}, limit},
		"count minus infinite":      {map[string]any{"last_reset": now, "count": math.Inf(-1)}, limit},
		"count in parts":            {map[string]any{"last_reset": now, "count": 3.2}, limit - 4},
		"count huge":                {map[string]any{"last_reset": now, "count": int64(math.MaxInt64)}, 0},
		"count a huge double":       {map[string]any{"last_reset": now, "count": 1e300}, 0},
		"count infinite":            {map[string]any{"last_reset": now, "count": math.Inf(1)}, 0},
		"count of text":             {map[string]any{"last_reset": now, "count": "100"}, limit},
		"count absent":              {map[string]any{"last_reset": now}, limit},
		"length negative":           {map[string]any{"last_reset": now, "count": 4, "length": int64(math.MinInt64), "limit": 5}, limit - 4},
		"length that would wrap":    {map[string]any{"last_reset": now, "count": 4, "length": int64(-18446744013), "limit": 5}, limit - 4},
		"length no number":          {map[string]any{"last_reset": now, "count": 4, "length": math.NaN(), "limit": 5}, limit - 4},
		"limit negative":            {map[string]any{"last_reset": now, "count": 4, "length": 60, "limit": -5}, limit - 4},
		"limit huge":                {map[string]any{"last_reset": now, "count": 4, "length": 60, "limit": int64(math.MaxInt64)}, quota.MaxLimit - 4},
		"generation of text":        {map[string]any{"last_reset": now, "count": 4, "generation": "x"}, limit - 4},
	} {
		t.Run(name, func(t *testing.T) {
			key := limits.Key{Tenant: "t_" + time.Now().Format("150405.000000000")[7:], Action: "x"}
			_, err := client.Collection("rate_limit_counters").Doc(key.DocumentID()).Set(t.Context(), c.document)
			require.NoError(t, err)
			l := limiter(t, store, quota.Policy{Limit: limit, Window: time.Minute})
			d, err := l.Allow(t.Context(), key.Tenant, key.Action)
			require.NoError(t, err)
			require.Equal(t, c.left > 0, d.Allowed)
			require.Equal(t, max(0, c.left-1), d.Remaining)
			status, err := limits.Show(t.Context(), store, limits.NewPolicySet(), key)
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), status.EndsAt, 2*time.Minute)
		})
	}
}
