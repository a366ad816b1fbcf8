package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

func TestClaimsAndRefusedClaimsAreLoggedWithBothTenantsAndLimited(t *testing.T) {
	var log bytes.Buffer
	store := memregistry.New().Open(memregistry.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	server, err := api.New(api.Options{Verifier: &served{}, Registry: registry.New(store)})
	require.NoError(t, err)
	put := func(tenant, thread string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPut, "http://localhost/v1/threads/"+thread, nil)
		r.Header.Set("X-Tenant-Id", tenant)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusCreated, put("t_victim", "th_1").Code)
	require.Equal(t, http.StatusNoContent, put("t_victim", "th_1").Code)
	refused := put("t_evil", "th_1")
	require.Equal(t, http.StatusConflict, refused.Code)
	require.NotContains(t, refused.Body.String(), "t_victim", "the answer does not say whose it is")

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2, "a claim that is repeated says nothing new: %s", log.String())
	var yes, no map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &yes))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &no))
	require.Equal(t, []any{"claimed", "thread/th_1", "t_victim"}, []any{yes["msg"], yes["resource"], yes["tenant_id"]})
	require.Equal(t, []any{"thread/th_1", "t_evil", "t_victim"}, []any{no["resource"], no["tenant_id"], no["owner"]})
	require.Equal(t, "WARN", no["level"])

	log.Reset()
	for range 500 {
		put("t_evil", "th_1")
	}
	require.Equal(t, http.StatusCreated, put("t_victim", "th_2").Code)
	refusals := strings.Count(log.String(), "claim refused")
	require.Less(t, refusals, 250, "limited in rate")
	require.Contains(t, log.String(), fmt.Sprintf("%q", "thread/th_2"), "a flood of refusals does not hide a claim")
}
