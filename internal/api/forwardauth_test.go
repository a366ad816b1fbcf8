package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
)

// throttled admits as many requests of each tenant's action, within an hour.
func throttled(t *testing.T, o api.Options, limit int, action string) api.Options {
	t.Helper()
	l, err := quota.New(memquota.New(), quota.Options{ActionsClosed: true, Policies: []quota.Policy{{Action: action, Limit: int64(limit), Window: time.Hour}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	o.Admit = func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool {
		return quotahttp.Admit(l, w, r, tenantID, action)
	}
	return o
}

// asks are the ways in which each proxy asks about a target, without the tenant.
var asks = map[string]func(query, target string) string{
	"nginx": func(query, target string) string {
		return "GET /v1/forward-auth?for=nginx" + query + "\nX-Original-URI: " + target
	},
	"caddy": func(query, target string) string {
		return "GET /v1/forward-auth?for=caddy" + query + "\nX-Forwarded-Uri: " + target + "\nX-Forwarded-Method: POST"
	},
	// Traefik sets X-Forwarded-Uri over the client's own as long as
	// trustForwardHeader is off, and always asks with GET and without a body
	// (writeHeader and ServeHTTP, traefik/pkg/middlewares/auth/forward.go).
	"traefik": func(query, target string) string {
		return "GET /v1/forward-auth?for=traefik" + query + "\nX-Forwarded-Uri: " + target + "\nX-Forwarded-Method: GET\nX-Forwarded-Proto: http"
	},
	// Envoy puts path_prefix before the path, byte by byte, keeps the client's
	// method, and says that there is no body (RawHttpClientImpl::check in
	// envoy/source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc).
	"envoy": func(query, target string) string {
		return "POST /v1/forward-auth?for=envoy" + query + target + "\nContent-Length: 0"
	},
}

// statusOf returns the status that the answer stands for.
func statusOf(t *testing.T, proxy string, a answer) string {
	t.Helper()
	if proxy != "nginx" || a.StatusCode == http.StatusOK {
		require.Empty(t, a.Header.Get("X-Error-Status"))
		return strings.Fields(a.Status)[0]
	}
	require.Equal(t, http.StatusForbidden, a.StatusCode, "auth_request turns all but 2xx, 401 and 403 into 500")
	return a.Header.Get("X-Error-Status")
}

func TestEachProxyIsAnsweredInItsOwnStatuses(t *testing.T) {
	for proxy, ask := range asks {
		t.Run(proxy, func(t *testing.T) {
			s := serve(t, throttled(t, api.Options{}, 2, "x"))
			require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
			require.NoError(t, s.RegisterCanvas(t.Context(), "t_ann", "cv_1"))
			question := func(query, target string) answer { return s.ask(t, ask(query, target)+asAnn) }

			for _, target := range []string{"/sse/chat/th_1", "/ws/chat/th_1?x=/../%2F", "/sse/chat/th%5F1", "/sse/canvas/cv_1"} {
				allowed := question("", target)
				require.Equal(t, http.StatusOK, allowed.StatusCode, "%s %s", target, allowed.body)
				require.Empty(t, allowed.body)
				require.Equal(t, "no-store", allowed.Header.Get("Cache-Control"))
			}
			allowed := question("", "/sse/chat/th_1")
			require.Equal(t, "t_ann thread/th_1", allowed.Header.Get("X-Registry-Asked"))

			// Missing and foreign are the same bytes.
			require.NoError(t, s.RegisterThread(t.Context(), "t_bob", "th_bob"))
			missing, foreign := question("", "/sse/chat/th_no"), question("", "/sse/chat/th_bob")
			require.Equal(t, "404", statusOf(t, proxy, missing))
			require.Equal(t, "404", statusOf(t, proxy, foreign))
			require.Equal(t, missing.body, foreign.body)
			require.Equal(t, "404", statusOf(t, proxy, question("", "/sse/canvas/th_1")), "a canvas is no thread")

			// What matches nothing, and what readers could differ about.
			for _, target := range []string{"/", "/admin", "/sse/chat/th_1/", "//sse/chat/th_1", "/sse/chat//th_1", "/sse/x/../chat/th_1", "/sse/chat/./th_1", "/sse/chat/a%2Fb", "/sse/chat/a%2fb", "/sse/chat/a%5Cb", "/sse/chat/th%2E1", "/sse/chat/%2574h_1", "/sse/ch%61t/th_1", "/sse/chat/_x"} {
				refused := question("", target)
				require.Equal(t, "404", statusOf(t, proxy, refused), target)
				require.Contains(t, refused.body, "no stream: ", target)
			}

			// First the throttle, then the check: two units are taken, also of what
			// is refused then.
			require.Equal(t, "404", statusOf(t, proxy, question("&action=x", "/sse/chat/th_no")))
			last := question("&action=x", "/sse/chat/th_1")
			require.Equal(t, "200", statusOf(t, proxy, last))
			require.Equal(t, `"x";r=0;t=3600`, last.Header.Get("RateLimit"))
			for _, target := range []string{"/sse/chat/th_1", "/sse/chat/th_no"} {
				throttled := question("&action=x", target)
				require.Equal(t, "429", statusOf(t, proxy, throttled))
				require.NotEmpty(t, throttled.Header.Get("Retry-After"))
			}
			require.Equal(t, "400", statusOf(t, proxy, question("&action=y", "/sse/chat/th_1")), "the list is closed")

			s.down.Store(true)
			down := question("", "/sse/chat/th_1")
			require.Equal(t, "503", statusOf(t, proxy, down))
			require.NotEmpty(t, down.Header.Get("Retry-After"))
		})
	}
}

func TestATenantThatIsNotOneIsRefused(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	for proxy, ask := range asks {
		for _, tenants := range []string{"", asAnn + "\nX-Tenant-Id: t_bob", asAnn + "\nx-tenant-id: t_ann", "\nX-Tenant-Id: t_ann, t_ann", "\nX-Tenant-Id:", "\nX-Tenant-Id: T_ANN"} {
			require.Equal(t, "400", statusOf(t, proxy, s.ask(t, ask("", "/sse/chat/th_1")+tenants)), "%s %q", proxy, tenants)
		}
	}
}

func TestAQuestionThatIsNoneIsRefused(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	const nginx, forwarded = "\nX-Original-URI: /sse/chat/th_1", "\nX-Forwarded-Uri: /sse/chat/th_1"
	for request, says := range map[string]string{
		"GET /v1/forward-auth" + nginx:                                 `for is ""`,
		"GET /v1/forward-auth?" + nginx:                                `for is ""`,
		"GET /v1/forward-auth?for=apache" + nginx:                      `for is "apache"`,
		"GET /v1/forward-auth?for=Nginx" + nginx:                       `for is "Nginx"`,
		"GET /v1/forward-auth?for=nginx&for=caddy" + nginx:             "for is given 2 times",
		"GET /v1/forward-auth?for=caddy&acton=x" + forwarded:           `unknown parameter "acton"`,
		"GET /v1/forward-auth?for=caddy&action=" + forwarded:           "action is empty",
		"GET /v1/forward-auth?for=caddy&action=x" + forwarded:          "no throttle is served",
		"GET /v1/forward-auth?for=caddy;x" + forwarded:                 "cannot be read",
		"GET /v1/forward-auth?for=caddy":                               "X-Forwarded-Uri occurs 0 times",
		"GET /v1/forward-auth?for=caddy" + nginx:                       "X-Forwarded-Uri occurs 0 times", // a client's own, of another proxy
		"GET /v1/forward-auth?for=traefik" + forwarded + forwarded:     "X-Forwarded-Uri occurs 2 times",
		"GET /v1/forward-auth?for=caddy/sse/chat/th_1" + forwarded:     "is Envoy's way to ask",
		"GET /v1/forward-auth?for=envoy":                               "the path that the client asked for is missing",
		"GET /v1/forward-auth?for=envoy" + nginx + forwarded:           "the path that the client asked for is missing",
		"GET http://127.0.0.1/v1/forward-auth?for=envoy/sse/chat/th_1": "",
	} {
		a := s.ask(t, request+asAnn)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, request)
		require.Contains(t, strings.ReplaceAll(a.body, `\"`, `"`), says, request)
	}
	missing := s.ask(t, "GET /v1/forward-auth?for=nginx"+asAnn)
	require.Equal(t, "400", statusOf(t, "nginx", missing))
	require.Contains(t, missing.body, "X-Original-URI occurs 0 times")
	for _, request := range []string{"POST /v1/forward-auth?for=nginx" + nginx, "PUT /v1/forward-auth?for=caddy" + forwarded, "POST /v1/forward-auth"} {
		require.Equal(t, http.StatusMethodNotAllowed, s.ask(t, request+asAnn+"\nContent-Length: 0").StatusCode, request)
	}
	require.Equal(t, http.StatusNotFound, s.ask(t, "GET /v1/forward-authx/sse/chat/th_1"+asAnn).StatusCode)
}

// With a path_prefix without a query all that follows it is the client's: it chooses
// neither the action nor how it is answered.
func TestBehindEnvoysPrefixTheQueryIsTheClients(t *testing.T) {
	s := serve(t, throttled(t, api.Options{}, 1, "x"))
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
		for _, query := range []string{"", "?", "?for=nginx", "?for=envoy&action=x", "?action=y&for=for"} {
			allowed := s.ask(t, method+" /v1/forward-auth/sse/chat/th_1"+query+asAnn+"\nContent-Length: 0")
			require.Equal(t, http.StatusOK, allowed.StatusCode, "%s %s", method, query)
			refused := s.ask(t, method+" /v1/forward-auth/sse/chat/th_2"+query+asAnn+"\nContent-Length: 0")
			require.Equal(t, http.StatusNotFound, refused.StatusCode, "%s %s", method, query)
		}
	}
	require.Equal(t, http.StatusOK, s.ask(t, asks["envoy"]("&action=x", "/sse/chat/th_1?action=y&for=nginx")+asAnn).StatusCode)
	require.Equal(t, http.StatusTooManyRequests, s.ask(t, asks["envoy"]("&action=x", "/sse/chat/th_1?action=y&for=nginx")+asAnn).StatusCode)
}

// nginx's subrequest announces the body of its client, of any length, and sends none.
// The server would wait for an hour, and ask gives up after a minute.
func TestABodyThatIsAnnouncedHoldsUpNoProxy(t *testing.T) {
	s := serve(t, api.Options{RequestTimeout: time.Hour})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	for proxy, ask := range asks {
		for _, length := range []string{"5", "5000", "11534336"} {
			question := strings.Replace(ask("", "/sse/chat/th_1"), "\nContent-Length: 0", "", 1) + asAnn
			a := s.ask(t, question+"\nContent-Length: "+length)
			require.Equal(t, "200", statusOf(t, proxy, a), proxy)
			require.True(t, a.Close, "what comes behind it is no request")
		}
	}
}

func TestRefusalsBeforeTheQuestionAreTheProxysToo(t *testing.T) {
	s := serve(t, api.Options{Tokens: []string{"api"}})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	for proxy, ask := range asks {
		question := ask("", "/sse/chat/th_1") + asAnn
		require.Equal(t, "401", statusOf(t, proxy, s.ask(t, question)), proxy)
		require.Equal(t, "401", statusOf(t, proxy, s.ask(t, question+"\nAuthorization: Bearer other")), proxy)
		require.Equal(t, "200", statusOf(t, proxy, s.ask(t, question+"\nAuthorization: Bearer api")), proxy)
		panics := ask("", "/sse/chat/panics") + asAnn
		require.Equal(t, "500", statusOf(t, proxy, s.ask(t, panics+"\nAuthorization: Bearer api")), proxy)
	}
}

func TestThePathsOfStreamsAreConfigured(t *testing.T) {
	paths, err := streampath.Parse([]string{"/threads/{thread_id}/events"})
	require.NoError(t, err)
	s := serve(t, api.Options{StreamPaths: paths})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	require.Equal(t, 200, s.ask(t, asks["caddy"]("", "/threads/th_1/events")+asAnn).StatusCode)
	require.Equal(t, 404, s.ask(t, asks["caddy"]("", "/sse/chat/th_1")+asAnn).StatusCode)
}

// A server without checks has nothing to ask.
func TestWithoutTheAPIThereIsNoForwardAuth(t *testing.T) {
	s := &served{}
	s.start(t, api.Options{})
	a := s.ask(t, asks["caddy"]("", "/sse/chat/th_1")+asAnn)
	require.Equal(t, http.StatusNotFound, a.StatusCode)
	require.False(t, slices.Contains(s.server.Routes(), "GET /v1/forward-auth"))
}
