package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

const asAnn = "\nX-Tenant-Id: t_ann"

func TestHostileInputGetsItsClearError(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		request string
		status  int
		says    string
	}{
		// Ids: decoded once, matched whole, never cleaned or redirected.
		{"GET /v1/threads/th_1/access" + asAnn, 204, ""},
		{"GET /v1/threads/%74h_1/access" + asAnn, 204, ""},
		{"GET http://127.0.0.1/v1/threads/th_1/access" + asAnn, 204, ""},
		{"GET http://elsewhere/v1/threads/th_1/access" + asAnn, 421, "asked as localhost"},
		{"GET /v1/threads/th_1/access?id=other#x" + asAnn, 204, ""},
		{"GET /v1/threads/a.~:@+=-Z/access" + asAnn, 404, "no such resource"},
		{"GET /v1/threads/" + long + "/access" + asAnn, 404, "no such resource"},
		{"GET /v1/threads/" + long + "a/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads//access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/../access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/./access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%2e%2e/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th%2F1/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%2Faccess/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%00/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%0A/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%2574h_1/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%C3%A9/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%ff%fe/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/_x/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/a;b/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/a*b/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%zz/access" + asAnn, 400, ""}, // net/http's own answer
		{"PUT /v1/threads/.." + asAnn, 400, "does not match"},
		{"PUT /v1/canvases/" + asAnn, 400, "does not match"},

		// Tenants: exactly one.
		{"GET /v1/threads/th_1/access", 400, "there 0 times"},
		{"GET /v1/threads/th_1/access" + asAnn + asAnn, 400, "there 2 times"},
		{"GET /v1/threads/th_1/access" + asAnn + "\nx-tenant-id: t_bob", 400, "there 2 times"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann, t_ann", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id:", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: T_ANN", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann/../t_bob", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_é", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_" + long, 400, "does not match"},
		{"PUT /v1/threads/th_2", 400, "there 0 times"},

		// Paths that are none of ours. A trailing slash is one more segment.
		{"GET /v1/threads/th_1/access/" + asAnn, 404, "no such endpoint"},
		{"GET //v1/threads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/threads/a/b/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/threads/x/../th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /V1/threads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1%2Fthreads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/media/m_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /", 404, "no such endpoint"},
		{"OPTIONS *", 404, "no such endpoint"},
		{"POST /v1/quota/connect/take" + asAnn, 404, "no such endpoint"}, // none was given

		// Methods.
		{"POST /v1/threads/th_1/access" + asAnn + "\nContent-Length: 0", 405, "takes GET, HEAD"},
		{"DELETE /v1/threads/th_1" + asAnn, 405, "takes PUT"},
		{"GET /v1/threads/th_1" + asAnn, 405, "takes PUT"},
		{"OPTIONS /v1/threads/th_1/access" + asAnn, 405, "takes GET, HEAD"},
		{"BREW /livez", 405, "takes GET, HEAD"},

		// Bodies: none is needed.
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 2\n\n{}", 201, ""},
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 11534336\n\n" + strings.Repeat("x", 11<<20), 413, "this request needs no body"},
		{"GET /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5000\n\n" + strings.Repeat("x", 5000), 413, "this request needs no body"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\n" + chunked(11<<20), 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\n" + chunked(100), 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 411, "Transfer-Encoding"},
		{"GET /livez\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\nzz\r\n", 411, "Transfer-Encoding"},

		// A body that was announced and does not come.
		{"GET /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5", 204, ""},
		{"HEAD /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5", 204, ""},

		// Headers.
		{"GET /livez\nX-Large: " + strings.Repeat("x", 64<<10), 431, ""}, // net/http's own answer
	} {
		a := s.ask(t, c.request)
		about := fmt.Sprintf("%.150q", c.request)
		require.Equal(t, c.status, a.StatusCode, about)
		require.Contains(t, a.body, c.says, about)
		require.Empty(t, a.Header.Get("Location"), about)
		if c.says != "" {
			require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), about)
		}
		if c.says != "" || a.StatusCode < 300 {
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), about)
		}
		if c.status == 405 {
			require.Equal(t, strings.TrimPrefix(c.says, "takes "), a.Header.Get("Allow"), about)
		}
	}
}

// chunked is a body of so many bytes in chunks of 64 KiB.
func chunked(size int) string {
	var b strings.Builder
	for size > 0 {
		n := min(size, 64<<10)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
		size -= n
	}
	return b.String() + "0\r\n\r\n"
}

func TestMissingForeignAndMovedAwayAreTheSameAnswer(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "foreign"))
	require.NoError(t, s.RegisterThread(t.Context(), "t_bob", "moved"))
	moved := ownership.Entry{Type: ownership.Moved, From: "t_bob", To: "t_ann", Version: ownership.Version{ID: "1"}}
	s.store.Apply(t.Context(), []ownership.Change{{Resource: registry.Resource{Kind: registry.Thread, ID: "moved"}, Entry: moved}})
	var answers []answer
	for _, id := range []string{"missing", "foreign", "moved"} {
		a := s.ask(t, "GET /v1/threads/"+id+"/access\nX-Tenant-Id: t_bob")
		a.Header.Del("Date")
		require.Equal(t, "t_bob thread/"+id, a.Header.Get("X-Registry-Asked"))
		a.Header.Del("X-Registry-Asked")
		answers = append(answers, a)
	}
	require.Equal(t, 404, answers[0].StatusCode)
	for _, other := range answers[1:] {
		require.Equal(t, answers[0].StatusCode, other.StatusCode)
		require.Equal(t, answers[0].body, other.body)
		require.Equal(t, answers[0].Header, other.Header)
	}
	require.Equal(t, `{"type":"about:blank","title":"Not Found","status":404,"detail":"no such resource, or not this tenant's"}`, answers[0].body)
}

func TestOneIdIsRefusedInTheSameBytesBeforeAndAfterSomebodyElseHasIt(t *testing.T) {
	s := serve(t, api.Options{})
	const check = "GET /v1/threads/th_1/access\nX-Tenant-Id: t_bob"
	missing := s.ask(t, check)
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	foreign := s.ask(t, check)
	missing.Header.Del("Date")
	foreign.Header.Del("Date")
	require.Equal(t, missing.Header, foreign.Header)
	require.Equal(t, missing.body, foreign.body)
	require.Equal(t, 404, foreign.StatusCode)
}

func TestEveryAnswerToACheckOrClaimSaysWhatWasAsked(t *testing.T) {
	s := serve(t, api.Options{Tokens: []string{"api"}})
	const token = "\nAuthorization: Bearer api"
	for _, c := range []struct {
		request, asked string
		status         int
	}{
		{"GET /v1/threads/th_1/access" + asAnn + token, "t_ann thread/th_1", 404},
		{"HEAD /v1/threads/th_1/access" + asAnn + token, "t_ann thread/th_1", 404},
		{"PUT /v1/threads/th_1" + asAnn + token, "t_ann thread/th_1", 201},
		{"PUT /v1/threads/%74h_1" + asAnn + token, "t_ann thread/th_1", 204},
		{"PUT /v1/threads/th_1\nX-Tenant-Id: t_bob" + token, "t_bob thread/th_1", 409},
		{"GET /v1/threads/th_1/access" + asAnn + token, "t_ann thread/th_1", 204},
		{"GET /v1/canvases/a:~@b/access" + asAnn + token, "t_ann canvas/a:~@b", 404},
		{"GET /v1/threads/th_1/access" + asAnn, "t_ann thread/th_1", 401},
		{"PUT /v1/threads/th_1" + asAnn + token + "\nContent-Length: 5000", "t_ann thread/th_1", 413},
		{"PUT /v1/threads/th_1" + asAnn + token + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n", "t_ann thread/th_1", 411},
		{"GET /v1/threads/panics/access" + asAnn + token, "t_ann thread/panics", 500},
		// What is not valid is not repeated.
		{"GET /v1/threads/_x/access" + asAnn + token, "", 400},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: T" + token, "", 400},
		{"GET /v1/threads/th_1/access" + asAnn + asAnn + token, "", 400},
		{"GET /v1/threads/th_1" + asAnn + token, "", 405},
		{"GET /livez" + asAnn, "", 200},
	} {
		a := s.ask(t, c.request)
		require.Equal(t, c.status, a.StatusCode, c.request)
		require.Equal(t, c.asked, a.Header.Get("X-Registry-Asked"), c.request)
	}
	s.down.Store(true)
	require.Equal(t, "t_ann thread/th_1", s.ask(t, "PUT /v1/threads/th_1"+asAnn+token).Header.Get("X-Registry-Asked"))
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	require.Equal(t, 204, s.ask(t, "HEAD /v1/threads/th_1/access"+asAnn).StatusCode)
	refused := s.ask(t, "HEAD /v1/threads/th_2/access"+asAnn)
	require.Equal(t, 404, refused.StatusCode)
	require.Empty(t, refused.body)
}

func TestAClaimIsFoundByTheNextCheckEveryTime(t *testing.T) {
	s := serve(t, api.Options{})
	for i := range 300 {
		require.Equal(t, 201, s.ask(t, fmt.Sprintf("PUT /v1/canvases/cv_%d%s", i, asAnn)).StatusCode)
		require.Equal(t, 204, s.ask(t, fmt.Sprintf("GET /v1/canvases/cv_%d/access%s", i, asAnn)).StatusCode)
		require.Equal(t, 204, s.ask(t, fmt.Sprintf("PUT /v1/canvases/cv_%d%s", i, asAnn)).StatusCode)
		require.Equal(t, 409, s.ask(t, fmt.Sprintf("PUT /v1/canvases/cv_%d\nX-Tenant-Id: t_bob", i)).StatusCode)
	}
}

func TestOfTwoClaimsAtOnceExactlyOneWins(t *testing.T) {
	s := serve(t, api.Options{})
	for i := range 100 {
		var won, lost atomic.Int32
		var both sync.WaitGroup
		for _, tenant := range []string{"t_ann", "t_bob"} {
			both.Go(func() {
				switch s.ask(t, fmt.Sprintf("PUT /v1/threads/th_%d\nX-Tenant-Id: %s", i, tenant)).StatusCode {
				case 201:
					won.Add(1)
				case 409:
					lost.Add(1)
				}
			})
		}
		both.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 1, lost.Load())
	}
}

func TestAStoreThatIsDownIs503WithRetryAfterAndNoInternals(t *testing.T) {
	s := serve(t, api.Options{})
	s.down.Store(true)
	for _, request := range []string{"GET /v1/threads/th_1/access", "PUT /v1/threads/th_1"} {
		a := s.ask(t, request+asAnn)
		require.Equal(t, 503, a.StatusCode)
		require.Contains(t, []string{"1", "2", "3"}, a.Header.Get("Retry-After"))
		require.NotContains(t, a.body, "10.0.0.7")
	}
}

func TestADefectIs500AndTheServerGoesOn(t *testing.T) {
	s := serve(t, api.Options{})
	a := s.ask(t, "GET /v1/threads/panics/access"+asAnn)
	require.Equal(t, 500, a.StatusCode)
	require.NotContains(t, a.body, "defect")
	require.Equal(t, 404, s.ask(t, "GET /v1/threads/th_1/access"+asAnn).StatusCode)
}

func TestTokens(t *testing.T) {
	const check, claim = "GET /v1/threads/th_1/access" + asAnn, "PUT /v1/threads/th_1" + asAnn
	both := api.Options{Tokens: []string{"api"}, ClaimTokens: []string{"claim"}}
	for _, c := range []struct {
		options       api.Options
		authorization string
		check, claim  int
	}{
		{api.Options{}, "", 404, 201},
		{api.Options{}, "Bearer whatever", 404, 201},
		{api.Options{Tokens: []string{"api"}}, "", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "Bearer api", 404, 201},
		{api.Options{Tokens: []string{"api"}}, "bearer  api", 404, 201},
		{api.Options{Tokens: []string{"api"}}, "Bearer ap", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "Bearer api2", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "Bearer", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "Basic api", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "api", 401, 401},
		{api.Options{Tokens: []string{"api"}}, "Bearer api\nAuthorization: Bearer api", 401, 401},
		{api.Options{ClaimTokens: []string{"claim"}}, "", 404, 401},
		{api.Options{ClaimTokens: []string{"claim"}}, "Bearer claim", 404, 201},
		{both, "Bearer api", 404, 401},
		{both, "Bearer claim", 401, 201},
		{both, "", 401, 401},
	} {
		s := serve(t, c.options)
		header := ""
		if c.authorization != "" {
			header = "\nAuthorization: " + c.authorization
		}
		require.Equal(t, c.check, s.ask(t, check+header).StatusCode, "check with %+v", c)
		a := s.ask(t, claim+header)
		require.Equal(t, c.claim, a.StatusCode, "claim with %+v", c)
		if a.StatusCode == 401 {
			require.Contains(t, a.Header.Get("WWW-Authenticate"), `Bearer realm="realtime-registry"`)
			require.Equal(t, c.authorization != "" && !strings.Contains(c.authorization, "\n"),
				strings.Contains(a.Header.Get("WWW-Authenticate"), "invalid_token"))
		}
		for _, open := range []string{"/livez", "/readyz", "/metrics", "/version", "/v1/openapi.json"} {
			require.Equal(t, 200, s.ask(t, "GET "+open).StatusCode, open)
		}
	}
}

func TestATokenIsReplacedWithoutAnOutage(t *testing.T) {
	s := serve(t, api.Options{Tokens: []string{"old"}})
	ask := func(token string) int {
		return s.ask(t, "GET /v1/threads/th_1/access"+asAnn+"\nAuthorization: Bearer "+token).StatusCode
	}
	require.Equal(t, []int{404, 401}, []int{ask("old"), ask("new")})
	require.NoError(t, s.server.SetTokens([]string{"old", "new"}, nil))
	require.Equal(t, []int{404, 404, 401}, []int{ask("old"), ask("new"), ask("old,new")})
	require.ErrorContains(t, s.server.SetTokens([]string{"a", "b", "c"}, nil), "two")
	require.ErrorContains(t, s.server.SetTokens([]string{"a", ""}, nil), "characters")
	require.Equal(t, []int{404, 404}, []int{ask("old"), ask("new")}, "what is wrong replaces nothing")
	require.NoError(t, s.server.SetTokens([]string{"new"}, []string{"claim", "claim2"}))
	require.Equal(t, []int{401, 404, 401}, []int{ask("old"), ask("new"), ask("claim")})
	for _, token := range []string{"claim", "claim2"} {
		require.Less(t, s.ask(t, "PUT /v1/threads/th_1"+asAnn+"\nAuthorization: Bearer "+token).StatusCode, 300)
	}
}

// Without a token, loopback is all that protects the API, and a browser on the
// machine carries strangers' pages.
func TestWithoutATokenPagesOfOthersAreRefused(t *testing.T) {
	s := serve(t, api.Options{})
	for _, c := range []struct {
		request string
		status  int
	}{
		{"PUT http://localhost:8080/v1/threads/th_1" + asAnn, 201},
		{"PUT http://LOCALHOST/v1/threads/th_1" + asAnn, 204},
		{"PUT http://localhost./v1/threads/th_1" + asAnn, 204},
		{"PUT http://[::1]:8080/v1/threads/th_1" + asAnn, 204},
		{"PUT http://127.0.0.9:8080/v1/threads/th_1" + asAnn, 204},
		{"PUT http://[::ffff:127.0.0.1]/v1/threads/th_1" + asAnn, 204},
		{"PUT http://evil.example/v1/threads/th_1" + asAnn, 421},
		{"PUT http://evil.example:8080/v1/threads/th_1" + asAnn, 421},
		{"PUT http://localhost.evil.example/v1/threads/th_1" + asAnn, 421},
		{"PUT http://127.0.0.1.evil.example/v1/threads/th_1" + asAnn, 421},
		{"PUT http://10.0.0.1/v1/threads/th_1" + asAnn, 421},
		{"PUT http://0.0.0.0/v1/threads/th_1" + asAnn, 421},
		{"GET http://evil.example/metrics", 421},
		{"GET http://evil.example/no/such", 421},
		{"PUT /v1/threads/th_1" + asAnn + "\nOrigin: http://localhost", 204},
		{"PUT /v1/threads/th_1" + asAnn + "\nOrigin: http://localhost:81", 403},
		{"PUT /v1/threads/th_1" + asAnn + "\nOrigin: http://evil.example", 403},
		{"PUT /v1/threads/th_1" + asAnn + "\nOrigin: null", 403},
		{"GET /v1/threads/th_1/access" + asAnn + "\nSec-Fetch-Site: cross-site", 403},
		{"GET /v1/threads/th_1/access" + asAnn + "\nSec-Fetch-Site: same-site", 403},
		{"GET /v1/threads/th_1/access" + asAnn + "\nSec-Fetch-Site: same-origin", 204},
		{"GET /v1/threads/th_1/access" + asAnn + "\nSec-Fetch-Site: none", 204},
		{"GET /metrics\nSec-Fetch-Site: cross-site", 403},
	} {
		require.Equal(t, c.status, s.ask(t, c.request).StatusCode, c.request)
	}
	// A token keeps strangers out whatever name they use.
	s = serve(t, api.Options{Tokens: []string{"api"}})
	require.Equal(t, 404, s.ask(t, "GET http://registry.internal/v1/threads/th_1/access"+asAnn+"\nAuthorization: Bearer api").StatusCode)
}

func TestTheQuotaEndpointIsGivenWithItsActionAndAValidTenant(t *testing.T) {
	s := serve(t, api.Options{Tokens: []string{"api"}, Quota: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Test-Saw", r.PathValue("action")+" "+r.Header.Get("X-Tenant-Id")+" "+r.URL.Query().Get("n"))
		w.WriteHeader(http.StatusTooManyRequests)
	})})
	const token = "\nAuthorization: Bearer api"
	a := s.ask(t, "POST /v1/quota/stream%5Fresume/take?n=3"+asAnn+token)
	require.Equal(t, 429, a.StatusCode)
	require.Equal(t, "stream_resume t_ann 3", a.Header.Get("Test-Saw"))
	require.Equal(t, 401, s.ask(t, "POST /v1/quota/connect/take"+asAnn).StatusCode)
	require.Equal(t, 400, s.ask(t, "POST /v1/quota/connect/take"+token).StatusCode)
	require.Equal(t, 405, s.ask(t, "GET /v1/quota/connect/take"+asAnn+token).StatusCode)
}

// A client that never finishes its request must not keep others out.
func TestSlowClientsKeepNobodyOut(t *testing.T) {
	s := serve(t, api.Options{MaxConcurrent: 2})
	for range 50 {
		conn, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "GET /v1/threads/th_1/access HTTP/1.1\r\nHost: localhost\r\n")
		require.NoError(t, err)
	}
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	require.Equal(t, 204, s.ask(t, "GET /v1/threads/th_1/access"+asAnn).StatusCode)
}

var _ api.Claimer = (*registry.Registry)(nil)
