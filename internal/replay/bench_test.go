package replay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// The program's part of replaying moves of whole tenants: the database is in memory,
// and no rate holds it up.
func BenchmarkMovesOfWholeTenants(b *testing.B) {
	var lines strings.Builder
	for i := range b.N {
		fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%036d","source":"//nexus","type":"nexus.tenant.moved.v1","time":%q,"data":{"from_tenant_id":"t_a%09d","to_tenant_id":"t_b%09d"}}`+"\n",
			i, time.Unix(int64(i), 0).UTC().Format(time.RFC3339), i, i)
	}
	files, err := archive.Open([]string{"-"}, strings.NewReader(lines.String()))
	require.NoError(b, err)
	store := memregistry.New()
	b.ResetTimer()
	counts, err := replay.Run(b.Context(), store, files, replay.Options{Rate: governor.Unlimited})
	require.NoError(b, err)
	require.Equal(b, b.N, counts.Total())
}
