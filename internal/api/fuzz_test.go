package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// owners answers as a verifier and a registry do, from a map.
type owners map[registry.Resource]string

func (o owners) Verify(_ context.Context, tenantID string, resource registry.Resource) error {
	if err := registry.ValidateTenant(tenantID); err != nil {
		return err
	}
	if err := resource.Validate(); err != nil {
		return err
	}
	if o[resource] != tenantID {
		return registry.ErrNotFound
	}
	return nil
}

func (o owners) VerifyCached(tenantID string, resource registry.Resource) bool {
	return o[resource] == tenantID
}

func (o owners) Owned(_ context.Context, tenantID string, resources []registry.Resource) ([]bool, error) {
	owned := make([]bool, len(resources))
	for i, r := range resources {
		owned[i] = o[r] == tenantID
	}
	return owned, nil
}

func (o owners) WatchAll(context.Context, []verifier.Ownership) (*verifier.Watcher, []int, error) {
	return nil, nil, registry.ErrUnavailable
}

func (o owners) MaxStaleness() time.Duration { return time.Second }

func (o owners) Claim(_ context.Context, tenantID string, resource registry.Resource, options ...registry.ClaimOption) (bool, error) {
	if err := registry.ValidateTenant(tenantID); err != nil {
		return false, err
	}
	if err := resource.Validate(); err != nil {
		return false, err
	}
	for _, option := range options {
		if err := option.Validate(); err != nil {
			return false, err
		}
	}
	switch o[resource] {
	case "":
		return true, nil
	case tenantID:
		return false, nil
	}
	return false, registry.ErrConflict
}

// Whatever a request is, its answer is one of the contract, says what was asked, and is
// a yes only to the owner. Only a watch, which has no store here, may be 503.
func FuzzRequests(f *testing.F) {
	const as = "Host: localhost\r\nX-Tenant-Id: t_ann\r\n"
	for _, request := range []string{
		"GET /v1/threads/th_1/access HTTP/1.1\r\n" + as + "\r\n",
		"GET /v1/threads/%74h_1/access?x HTTP/1.1\r\n" + as + "\r\n",
		"GET /v1/canvases/th%2F1/access HTTP/1.1\r\n" + as + "\r\n",
		"GET /v1/threads/th_1/access HTTP/1.1\r\n" + as + "X-Tenant-Id: t_bob\r\n\r\n",
		"PUT /v1/threads/th_2 HTTP/1.1\r\n" + as + "Ce-Source: %2F%2Fnexus\r\nCe-Id: e%201\r\n\r\n",
		"PUT /v1/threads/th_2 HTTP/1.1\r\n" + as + "Ce-Source: registry\r\nCe-Id: %zz\r\n\r\n",
		"PUT /v1/canvases/cv_1 HTTP/1.1\r\n" + as + "Content-Length: 2\r\n\r\n{}",
		"POST /v1/access HTTP/1.1\r\n" + as + "Content-Length: 64\r\n\r\n" + `{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"th_1"}]}`[:64],
		"POST /v1/watch HTTP/1.1\r\n" + as + "Content-Length: 66\r\n\r\n" + `{"resources":[{"tenant_id":"t_ann","kind":"thread","id":"th_1"}]}`,
		"POST /v1/watch HTTP/1.1\r\n" + as + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /v1/forward-auth?for=nginx HTTP/1.1\r\n" + as + "X-Original-URI: /sse/chat/th_1?x\r\n\r\n",
		"GET /v1/forward-auth?for=nginx&action=a HTTP/1.1\r\n" + as + "X-Original-URI: /sse/chat/../th_1\r\n\r\n",
		"POST /v1/forward-auth/sse/chat/th_1?a=/b HTTP/1.1\r\n" + as + "\r\n",
		"GET /v1/forward-auth?for=envoy/ws/chat/th_1 HTTP/1.1\r\n" + as + "\r\n",
		"GET /readyz?store HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET http://elsewhere/v1/threads/th_1/access HTTP/1.1\r\n" + as + "Origin: http://evil\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		all := owners{{Kind: registry.Thread, ID: "th_1"}: "t_ann", {Kind: registry.Canvas, ID: "cv_1"}: "t_bob"}
		server, err := api.New(api.Options{Verifier: all, Registry: all, RequestTimeout: time.Second})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		answer := fmt.Sprintf("%q: %d %v %q", raw, w.Code, w.Header(), w.Body)
		switch {
		case w.Code == http.StatusServiceUnavailable && r.URL.Path == "/v1/watch":
		case w.Code >= 500:
			t.Fatal(answer)
		case w.Code >= 400:
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), answer)
			require.True(t, json.Valid(w.Body.Bytes()), answer)
		case strings.HasPrefix(r.URL.Path, "/v1/threads") || strings.HasPrefix(r.URL.Path, "/v1/canvases") || strings.HasPrefix(r.URL.Path, "/v1/forward-auth"):
			requireYesOfTheOwner(t, all, r, w, answer)
		}
		require.Empty(t, w.Header().Get("Location"), answer)
	})
}

// requireYesOfTheOwner holds that the answer names what was asked, by the one tenant
// of the request, and that this may have it.
func requireYesOfTheOwner(t *testing.T, all owners, r *http.Request, w *httptest.ResponseRecorder, answer string) {
	tenant, resource, ok := strings.Cut(w.Header().Get("X-Registry-Asked"), " ")
	require.True(t, ok, answer)
	require.Equal(t, []string{tenant}, r.Header.Values("X-Tenant-Id"), answer)
	kind, id, _ := strings.Cut(resource, "/")
	owner := all[registry.Resource{Kind: registry.Kind(kind), ID: id}]
	if w.Code == http.StatusCreated {
		require.Empty(t, owner, answer)
	} else {
		require.Equal(t, tenant, owner, answer)
	}
}

// A list is understood as encoding/json understands it, or it is refused: two readers
// of one body do not differ.
func FuzzLists(f *testing.F) {
	for _, body := range []string{
		`{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"th_1"},{"kind":"canvas","id":"cv_1"}]}`,
		`{"resources":[{"kind":"thread","id":"th_1"}],"tenant_id":"t_ann"}`,
		`{"tenant_id":"t_ann","tenant_id":"t_bob","resources":[{"kind":"thread","id":"th_1"}]}`,
		`{"tenant_id":"t_ann","resources":[{"Kind":"thread","id":"th_1"}]}`,
		`{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"th\u005f1"}]} `,
		`{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"th_1","x":[{}]}]}`,
		`{"tenant_id":"t_ann","resources":[]}`, `[]`, `{`, `{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"th_1"}]}x`, "\ufeff{}",
	} {
		f.Add([]byte(body))
	}
	all := owners{{Kind: registry.Thread, ID: "th_1"}: "t_ann", {Kind: registry.Canvas, ID: "cv_1"}: "t_bob"}
	server, err := api.New(api.Options{Verifier: all, Registry: all})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/access", bytes.NewReader(body))
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code == http.StatusBadRequest || w.Code == http.StatusRequestEntityTooLarge {
			return
		}
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		var asked struct {
			TenantID  string `json:"tenant_id"`
			Resources []struct {
				Kind registry.Kind `json:"kind"`
				ID   string        `json:"id"`
			} `json:"resources"`
		}
		require.NoError(t, json.Unmarshal(body, &asked))
		var answered struct{ Owned []bool }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answered))
		require.Len(t, answered.Owned, len(asked.Resources))
		for i, r := range asked.Resources {
			require.Equal(t, all[registry.Resource{Kind: r.Kind, ID: r.ID}] == asked.TenantID, answered.Owned[i])
		}
	})
}
