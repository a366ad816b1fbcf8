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

// hangs waits for a store that does not answer, and then says so.
func hangs(w http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
}

// Clients wait for 6 s: what is answered later is answered to nobody.
func TestWhatWaitsForTheStoreIsGivenUpAsSoonAsACheck(t *testing.T) {
	for name, asked := range map[string]struct{ method, target string }{
		"claim":        {http.MethodPut, "/v1/threads/th_1"},
		"take":         {http.MethodPost, "/v1/quota/chat_send/take"},
		"forward-auth": {http.MethodGet, "/v1/forward-auth?for=caddy&action=chat_send"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, err := verifier.New(memregistry.New(), verifier.Options{})
				require.NoError(t, err)
				defer v.Close()
				server, err := api.New(api.Options{Verifier: v, Registry: hanging{}, Quota: http.HandlerFunc(hangs),
					Admit: func(w http.ResponseWriter, r *http.Request, _, _ string) bool { hangs(w, r); return false }})
				require.NoError(t, err)
				r := httptest.NewRequestWithContext(t.Context(), asked.method, "http://127.0.0.1"+asked.target, nil)
				r.Header.Set("X-Tenant-Id", "t_acme")
				r.RequestURI = asked.target
				r.Header.Set("X-Forwarded-Uri", "/sse/chat/th_1")
				begin, answer := time.Now(), httptest.NewRecorder()
				server.ServeHTTP(answer, r)
				require.Equal(t, http.StatusServiceUnavailable, answer.Code)
				require.NotEmpty(t, answer.Header().Get("Retry-After"))
				require.Equal(t, 5*time.Second, time.Since(begin))
			})
		})
	}
}
