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

func TestAClaimMayNameItsEvent(t *testing.T) {
	s := serve(t, api.Options{})
	event := func(id string) ownership.EventName {
		snapshot, err := s.store.Read(t.Context(), []registry.Resource{{Kind: registry.Thread, ID: id}})
		require.NoError(t, err)
		claim, _ := snapshot.Records[0].History.Claimed()
		return claim.Event
	}
	require.Equal(t, 201, s.ask(t, "PUT /v1/threads/named"+asAnn+"\nCe-Source: //nexus/threads\nCe-Id: caf%C3%A9%20100%25").StatusCode)
	require.Equal(t, ownership.EventName{Source: "//nexus/threads", ID: "café 100%"}, event("named"))
	require.Equal(t, 201, s.ask(t, "PUT /v1/threads/plain"+asAnn).StatusCode)
	require.Zero(t, event("plain"))

	long := strings.Repeat("x", 1025)
	for name, headers := range map[string]string{
		"no id":          "\nCe-Source: //n",
		"no source":      "\nCe-Id: e",
		"twice":          "\nCe-Source: //n\nCe-Id: e\nCe-Id: f",
		"no encoding":    "\nCe-Source: //n\nCe-Id: 100%",
		"no UTF-8":       "\nCe-Source: //n\nCe-Id: %FF",
		"too long":       "\nCe-Source: //n\nCe-Id: " + long,
		"that of claims": "\nCe-Source: registry\nCe-Id: e",
	} {
		a := s.ask(t, "PUT /v1/threads/refused"+asAnn+headers)
		require.Equal(t, 400, a.StatusCode, name)
		require.NotContains(t, a.body, long)
	}
	require.Equal(t, 201, s.ask(t, "PUT /v1/threads/refused"+asAnn).StatusCode, "none of them claimed it")
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
