package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
)

// described is what the test reads of the OpenAPI document.
type described struct {
	OpenAPI    string `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas map[string]struct {
			Pattern string
		}
		Responses map[string]response
	}
}

type operation struct {
	OperationID string `json:"operationId"`
	Security    []map[string][]string
	Responses   map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Headers map[string]json.RawMessage
	Content map[string]struct {
		Example json.RawMessage
	}
}

func description(t *testing.T) (described, map[string]operation) {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	var d described
	require.NoError(t, json.Unmarshal(text, &d))
	operations := map[string]operation{}
	for path, item := range d.Paths {
		for method, text := range item {
			if method == "parameters" {
				continue
			}
			var o operation
			require.NoError(t, json.Unmarshal(text, &o))
			for status, r := range o.Responses {
				if r.Ref != "" {
					resolved, ok := d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
					require.True(t, ok, "%s of %s %s", r.Ref, method, path)
					o.Responses[status] = resolved
				}
			}
			operations[strings.ToUpper(method)+" "+path] = o
		}
	}
	return d, operations
}

func everything(t *testing.T) *api.Server {
	t.Helper()
	s, err := api.New(api.Options{Verifier: &served{}, Registry: &served{}, Quota: http.NotFoundHandler(), Metrics: http.NotFoundHandler(), Version: 1,
		Worker: func(context.Context) error { return nil }})
	require.NoError(t, err)
	return s
}

func TestEveryRouteIsDescribedAndNothingElse(t *testing.T) {
	d, operations := description(t)
	require.Equal(t, "3.1.0", d.OpenAPI)
	require.ElementsMatch(t, everything(t).Routes(), slices.Collect(maps.Keys(operations)))
	require.Equal(t, registry.TenantPattern, d.Components.Schemas["TenantId"].Pattern)
	require.Equal(t, registry.ResourcePattern, d.Components.Schemas["ResourceId"].Pattern)
	ids := map[string]bool{}
	for name, o := range operations {
		require.False(t, ids[o.OperationID], "%s: the operationId is taken", name)
		ids[o.OperationID] = true
	}
}

// Every status that is described is provoked, and none other is met; the
// answers have the headers and the content types that are described, and where
// an error's body is constant, it is the example.
func TestEveryStatusIsDescribedAndNothingElse(t *testing.T) {
	_, operations := description(t)
	quota := func(w http.ResponseWriter, r *http.Request) { // as package quota answers
		w.Header().Set("RateLimit-Policy", `"default";q=100;w=60`)
		w.Header().Set("RateLimit", `"default";r=50;t=30`)
		switch n := r.URL.Query().Get("n"); n {
		case "":
			w.WriteHeader(http.StatusNoContent)
		default:
			status, _ := strconv.Atoi(n)
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
		}
	}
	fault := func() error { return errors.New("sick") }
	spent := func(w http.ResponseWriter, _ *http.Request, _, _ string) bool {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	}
	well := func() error { return nil }
	healthy := serve(t, api.Options{Tokens: []string{"api"}, Worker: probe(well), Quota: http.HandlerFunc(quota), Admit: spent})
	sick := watching(t, api.Options{Tokens: []string{"api"}, Live: probe(fault), Worker: probe(fault), Store: probe(fault), Quota: http.HandlerFunc(quota)})
	sick.down.Store(true)
	for _, r := range []registry.Resource{{Kind: registry.Thread, ID: "foreign"}, {Kind: registry.Canvas, ID: "foreign"}} {
		_, err := healthy.Claim(t.Context(), "t_bob", r)
		require.NoError(t, err)
	}

	const token, large = "\nAuthorization: Bearer api", "\nContent-Length: 5000"
	met := map[string]map[string]bool{}
	ask := func(s *served, name, path, headers string) {
		t.Helper()
		method, _, _ := strings.Cut(name, " ")
		a := s.ask(t, method+" "+path+headers)
		status := strconv.Itoa(a.StatusCode)
		if met[name] == nil {
			met[name] = map[string]bool{}
		}
		met[name][status] = true
		described, ok := operations[name].Responses[status]
		require.True(t, ok, "%s answers %s, which is not described", name, status)
		for header := range described.Headers {
			require.NotEmpty(t, a.Header.Get(header), "%s %s: %s", name, status, header)
		}
		if len(described.Content) == 0 {
			require.Empty(t, a.body, "%s %s", name, status)
		}
		for contentType, content := range described.Content {
			got, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
			require.Equal(t, contentType, got, "%s %s", name, status)
			unavailable := status == "503" && s == sick && strings.HasPrefix(path, "/v1/")
			if unavailable || slices.Contains([]string{"401", "404", "409", "413"}, status) {
				require.JSONEq(t, string(content.Example), a.body, "%s %s", name, status)
			}
		}
	}
	for _, kind := range []string{"threads", "canvases"} {
		claim, check := "PUT /v1/"+kind+"/{id}", "GET /v1/"+kind+"/{id}/access"
		at := "/v1/" + kind + "/"
		ask(healthy, claim, at+"new", asAnn+token)
		ask(healthy, claim, at+"new", asAnn+token)
		ask(healthy, claim, at+"foreign", asAnn+token)
		ask(healthy, claim, at+"new", token)
		ask(healthy, claim, at+"new", asAnn)
		ask(healthy, claim, at+"new", asAnn+token+large)
		ask(sick, claim, at+"new", asAnn+token)
		ask(healthy, check, at+"new/access", asAnn+token)
		ask(healthy, check, at+"foreign/access", asAnn+token)
		ask(healthy, check, at+"new/access", token)
		ask(healthy, check, at+"new/access", asAnn)
		ask(healthy, check, at+"new/access", asAnn+token+large)
		ask(sick, check, at+"new/access", asAnn+token)
	}
	const take = "POST /v1/quota/{action}/take"
	ask(healthy, take, "/v1/quota/connect/take", asAnn+token)
	ask(healthy, take, "/v1/quota/connect/take", token)
	ask(healthy, take, "/v1/quota/connect/take", asAnn)
	ask(healthy, take, "/v1/quota/connect/take", asAnn+token+large)
	ask(healthy, take, "/v1/quota/connect/take?n=429", asAnn+token)
	ask(healthy, take, "/v1/quota/connect/take?n=503", asAnn+token)
	const forward, target = "GET /v1/forward-auth", "\nX-Forwarded-Uri: /sse/chat/"
	caddy := "/v1/forward-auth?for=caddy"
	ask(healthy, forward, caddy, asAnn+token+target+"new")
	ask(healthy, forward, caddy, asAnn+token+target+"foreign")
	ask(healthy, forward, caddy, token+target+"new")
	ask(healthy, forward, caddy, asAnn+target+"new")
	ask(healthy, forward, caddy+"&action=spent", asAnn+token+target+"new")
	ask(healthy, forward, "/v1/forward-auth?for=nginx", asAnn+token+"\nX-Original-URI: /sse/chat/foreign")
	ask(sick, forward, caddy, asAnn+token+target+"new")
	const list, watch = "POST /v1/access", "POST /v1/watch"
	for body, path := range map[string]string{
		`{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"new"}]}`: "/v1/access",
		watchBody("t_ann thread new"):                                      "/v1/watch",
	} {
		sized := fmt.Sprintf("\nContent-Length: %d\n\n%s", len(body), body)
		ask(healthy, "POST "+path, path, token+sized)
		ask(healthy, "POST "+path, path, sized)
		ask(sick, "POST "+path, path, token+sized)
		ask(sick, "POST "+path, path, token)
		ask(sick, "POST "+path, path, token+fmt.Sprintf("\nContent-Length: %d", 1<<20+1))
	}
	require.True(t, met[watch]["501"] && met[list]["200"])
	met[watch]["200"] = true // TestAWatchTellsTheContract
	for _, path := range []string{"/livez", "/readyz", "/readyz/api", "/readyz/worker", "/metrics", "/version", "/v1/openapi.json"} {
		ask(healthy, "GET "+path, path, "")
	}
	for _, path := range []string{"/readyz", "/readyz/api", "/readyz/worker"} {
		ask(healthy, "GET "+path, path+"?stroe", "")
		ask(sick, "GET "+path, path+"?store", "")
	}
	ask(sick, "GET /livez", "/livez", "")

	for name, o := range operations {
		documented := slices.Collect(maps.Keys(o.Responses))
		documented = slices.DeleteFunc(documented, func(s string) bool { return s == "default" })
		require.ElementsMatch(t, documented, slices.Collect(maps.Keys(met[name])), name)
	}
}

// What needs no token says so, and the rest names the scheme.
func TestSecurityIsDescribedAsItIs(t *testing.T) {
	_, operations := description(t)
	s := serve(t, api.Options{Tokens: []string{"api"}, Quota: http.NotFoundHandler()})
	for name, o := range operations {
		method, path, _ := strings.Cut(name, " ")
		path = strings.NewReplacer("{id}", "th_1", "{action}", "connect").Replace(path)
		guarded := s.ask(t, method+" "+path+asAnn).StatusCode == http.StatusUnauthorized
		require.Equal(t, guarded, len(o.Security) > 0, name)
	}
}
