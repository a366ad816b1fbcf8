package replay_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// What does not fit is put aside, and counts as if it were there: resources that are
// named again and again, moved one by one and by their tenant, in the registry before
// or not.
func TestADryRunCountsTheSameInLittleMemory(t *testing.T) {
	store := memregistry.New()
	var before, lines []any
	for i := range 200 {
		before = append(before, created(i, "t_a"))
	}
	for i := range 600 {
		lines = append(lines, created(i, fmt.Sprint("t_", string(rune('a'+i%3)))))
		if i%7 == 0 {
			lines = append(lines, tenantMoved(1000+i, "t_b", "t_moved", i/2, i/3+1))
		}
	}
	lines = append(lines, tenantMoved(5000, "t_a", "t_z"))
	_, _, err := run(t, store, archiveOf(t, before...))
	require.NoError(t, err)
	file := archiveOf(t, lines...)
	const little = 20_000
	dry := func(most int) (replay.Counts, replay.Effect) {
		d, err := replay.NewDryRun(t.Context(), store)
		require.NoError(t, err)
		d.MostInMemory(most)
		counts, _, err := run(t, d, file, func(o *replay.Options) {
			o.Progress = func(replay.Counts) { require.LessOrEqual(t, d.InMemory(), most) }
			o.Appliers = 1
		})
		require.NoError(t, err)
		effect, err := d.Effect(10)
		require.NoError(t, err)
		for i := range 600 {
			require.True(t, d.Names(registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th-", i)}))
			require.LessOrEqual(t, d.InMemory(), most)
		}
		require.False(t, d.Names(registry.Resource{Kind: registry.Thread, ID: "th-600"}))
		require.NoError(t, d.Close())
		effect.Before, effect.After = nil, nil
		for i := range effect.TenantMoves {
			effect.TenantMoves[i].ChangedAt = effect.TenantMoves[0].ChangedAt
		}
		return counts, effect
	}
	counts, effect := dry(little)
	wantCounts, wantEffect := dry(1 << 30)
	for i := range wantEffect.TenantMoves {
		wantEffect.TenantMoves[i].ChangedAt = effect.TenantMoves[i].ChangedAt
	}
	require.Equal(t, wantCounts, counts)
	require.Equal(t, wantEffect, effect)
	require.Positive(t, counts.Of(handlers.Refused))
	require.Positive(t, counts.Of(handlers.Inapplicable))
	real, _, err := run(t, store, file)
	require.NoError(t, err)
	require.Equal(t, real, counts)
}
