package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// hanging is a registry whose claims wait for a store that does not answer.
type hanging struct{}

func (hanging) Claim(ctx context.Context, _ string, _ registry.Resource, _ ...registry.ClaimOption) (bool, error) {
	<-ctx.Done()
	return false, registry.ErrUnavailable
}

// Clients wait for 6 s: what is answered later is answered to nobody.
func TestAClaimIsGivenUpAsSoonAsACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := verifier.New(memregistry.New(), verifier.Options{})
		require.NoError(t, err)
		defer v.Close()
		server, err := api.New(api.Options{Verifier: v, Registry: hanging{}})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://127.0.0.1/v1/threads/th_1", nil)
		r.Header.Set("X-Tenant-Id", "t_acme")
		begin, answer := time.Now(), httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		require.Equal(t, http.StatusServiceUnavailable, answer.Code)
		require.NotEmpty(t, answer.Header().Get("Retry-After"))
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
}
