package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRefusedTenantsAreRememberedForTenMinutes(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	memory := NewThrottled()
	memory.now = func() time.Time { return now }
	answer := http.StatusTooManyRequests
	take := memory.Take(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) }))
	ask := func(tenant string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Tenant-Id", tenant)
		r.SetPathValue("action", "stream_connect")
		take.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("t_a")
	ask("t_b")
	now = now.Add(4 * time.Minute)
	ask("t_b")
	require.Equal(t, []ThrottledTenant{{"t_b", "stream_connect", 2, now}, {"t_a", "stream_connect", 1, now.Add(-4 * time.Minute)}}, memory.list())
	now = now.Add(6 * time.Minute)
	require.Equal(t, []ThrottledTenant{{"t_b", "stream_connect", 1, now.Add(-6 * time.Minute)}}, memory.list(), "what is ten minutes old is forgotten")
	now = now.Add(time.Hour)
	require.Empty(t, memory.list())
	answer = http.StatusNoContent
	ask("t_a")
	require.Empty(t, memory.list(), "it was let through")
}

func TestWhatIsRememberedOfRefusalsIsBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	memory := NewThrottled()
	memory.now = func() time.Time { return now }
	admit := memory.Admit(func(w http.ResponseWriter, _ *http.Request, _, _ string) bool {
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	for i := range maxThrottled + 10 {
		now = now.Add(time.Millisecond)
		require.False(t, admit(httptest.NewRecorder(), nil, fmt.Sprintf("t_%d", i), "a"))
	}
	require.Len(t, memory.pairs, maxThrottled)
	require.NotContains(t, memory.pairs, tenantAction{"t_0", "a"}, "the one that was refused the longest ago makes room")
	require.Len(t, memory.list(), mostThrottled)
}
