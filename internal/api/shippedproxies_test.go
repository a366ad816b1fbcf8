package api_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// shipped decodes a configuration of deploy/proxies. Those of nginx and Caddy are
// tested with the programs themselves, in docs/examples/transport.
func shipped(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/proxies/" + name)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, to))
}

// What Traefik asks by deploy/proxies/traefik.yaml, after its documented rules:
// middlewares run in their order; an empty custom header is removed
// (doc.traefik.io/traefik/middlewares/http/headers); authResponseHeaders are set in
// place of what the request has, authRequestHeaders are all that is sent, and
// X-Forwarded-Uri is the request's URI while trustForwardHeader is off
// (doc.traefik.io/traefik/middlewares/http/forwardauth, and writeHeader in
// traefik/pkg/middlewares/auth/forward.go).
func TestTraefiksShippedConfigurationAsksAsItShould(t *testing.T) {
	type forwardAuth struct {
		Address             string
		AuthRequestHeaders  []string `yaml:"authRequestHeaders"`
		AuthResponseHeaders []string `yaml:"authResponseHeaders"`
		TrustForwardHeader  bool     `yaml:"trustForwardHeader"`
	}
	var c struct {
		HTTP struct {
			Routers     map[string]struct{ Middlewares []string }
			Middlewares map[string]struct {
				Headers struct {
					CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
				}
				ForwardAuth *forwardAuth `yaml:"forwardAuth"`
			}
		}
	}
	shipped(t, "traefik.yaml", &c)
	chain := c.HTTP.Routers["streams"].Middlewares
	require.Len(t, chain, 3)
	removed := c.HTTP.Middlewares[chain[0]].Headers.CustomRequestHeaders
	require.Equal(t, map[string]string{"X-Tenant-Id": "", "X-Authenticated-Tenant": ""}, removed, "a client's own go first")
	require.Contains(t, c.HTTP.Middlewares[chain[1]].ForwardAuth.AuthResponseHeaders, "X-Tenant-Id", "then comes who it is")
	asks := c.HTTP.Middlewares[chain[2]].ForwardAuth
	require.False(t, asks.TrustForwardHeader)
	require.Equal(t, []string{"X-Tenant-Id"}, asks.AuthRequestHeaders)
	host, question, _ := strings.Cut(strings.TrimPrefix(asks.Address, "http://"), "/")
	require.Equal(t, "127.0.0.1:8080", host, "the Host that it asks by, which has to be of loopback without a token")

	s := serve(t, throttled(t, api.Options{}, 100, "stream_connect"))
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	ask := func(target string) int {
		return s.ask(t, fmt.Sprintf("GET /%s\nX-Tenant-Id: t_ann\nX-Forwarded-Uri: %s\nX-Forwarded-Method: POST", question, target)).StatusCode
	}
	require.Equal(t, 200, ask("/sse/chat/th_1?x"))
	require.Equal(t, 404, ask("/sse/chat/th_2"))
	require.Equal(t, 404, ask("/sse/chat/a%2Fb"))
	s.down.Store(true)
	require.Equal(t, 503, ask("/sse/chat/th_1"))
}

// What Envoy asks by deploy/proxies/envoy.yaml, after its documented rules: filters
// run in their order; to an HTTP service ext_authz sends Host, method, path,
// Content-Length (0) and Authorization of the client, and what allowed_headers name;
// headers_to_add take the client's place; path_prefix stands before the path; only 200
// is passed on, 5xx and no answer are failures, for which status_on_error holds
// (api/envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto, and
// ext_authz_http_impl.cc).
func TestEnvoysShippedConfigurationAsksAsItShould(t *testing.T) {
	type filter struct {
		Name   string
		Config yaml.Node `yaml:"typed_config"`
	}
	var c struct {
		Static struct {
			Listeners []struct {
				Chains []struct {
					Filters []struct {
						Config struct {
							Filters []filter `yaml:"http_filters"`
						} `yaml:"typed_config"`
					}
				} `yaml:"filter_chains"`
			}
		} `yaml:"static_resources"`
	}
	shipped(t, "envoy.yaml", &c)
	filters := c.Static.Listeners[0].Chains[0].Filters[0].Config.Filters
	at := func(name string) int {
		i := slices.IndexFunc(filters, func(f filter) bool { return f.Name == "envoy.filters.http."+name })
		require.GreaterOrEqual(t, i, 0, name)
		return i
	}
	require.IsIncreasing(t, []int{at("header_mutation"), at("jwt_authn"), at("ext_authz"), at("router")})

	var mutation struct {
		Mutations struct {
			Request []struct{ Remove string } `yaml:"request_mutations"`
		}
	}
	require.NoError(t, filters[at("header_mutation")].Config.Decode(&mutation))
	require.Contains(t, mutation.Mutations.Request, struct{ Remove string }{"x-tenant-id"}, "a client's own goes first")

	var authz struct {
		FailureModeAllow bool                  `yaml:"failure_mode_allow"`
		StatusOnError    struct{ Code string } `yaml:"status_on_error"`
		AllowedHeaders   struct {
			Patterns []struct{ Exact string }
		} `yaml:"allowed_headers"`
		Service struct {
			Prefix  string `yaml:"path_prefix"`
			Request struct {
				Headers []struct{ Key, Value string } `yaml:"headers_to_add"`
			} `yaml:"authorization_request"`
		} `yaml:"http_service"`
	}
	require.NoError(t, filters[at("ext_authz")].Config.Decode(&authz))
	require.False(t, authz.FailureModeAllow)
	require.Equal(t, "ServiceUnavailable", authz.StatusOnError.Code)
	require.Equal(t, []struct{ Exact string }{{"x-tenant-id"}}, authz.AllowedHeaders.Patterns)
	require.Equal(t, "authorization", authz.Service.Request.Headers[0].Key)
	token, ok := strings.CutPrefix(authz.Service.Request.Headers[0].Value, "Bearer ")
	require.True(t, ok)

	s := serve(t, throttled(t, api.Options{Tokens: []string{token}}, 3, "stream_connect"))
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	ask := func(method, target string) int {
		return s.ask(t, fmt.Sprintf("%s %s%s\nContent-Length: 0\nX-Tenant-Id: t_ann\nAuthorization: Bearer %s",
			method, authz.Service.Prefix, target, token)).StatusCode
	}
	require.Equal(t, 200, ask("GET", "/sse/chat/th_1?action=y&for=nginx"))
	require.Equal(t, 200, ask("POST", "/sse/chat/th_1"))
	require.Equal(t, 404, ask("GET", "/sse/chat/th_2"))
	require.Equal(t, 404, ask("GET", "//sse/chat/th_1"))
	require.Equal(t, 429, ask("GET", "/sse/chat/th_1"))
	s.down.Store(true)
	require.Equal(t, 429, ask("GET", "/sse/chat/th_1"), "the throttle comes first")
}
