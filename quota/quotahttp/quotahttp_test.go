package quotahttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
)

func limiter(t testing.TB, store limits.Store, policies ...quota.Policy) *quota.Limiter {
	l, err := quota.New(store, quota.Options{Policies: policies})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func take(l *quota.Limiter, target string, tenants ...string) *http.Response {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/quota/{action}/take", quotahttp.Take(l))
	request := httptest.NewRequest(http.MethodPost, target, strings.NewReader(""))
	for _, tenant := range tenants {
		request.Header.Add(quotahttp.TenantHeader, tenant)
	}
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, request)
	return recorder.Result()
}

func TestTakeAnswers204Then429(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 3, Window: time.Hour})
	for i := range 3 {
		response := take(l, "/v1/quota/chat_send/take", "t_acme")
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.Equal(t, `"chat_send";q=3;w=3600`, response.Header.Get("RateLimit-Policy"))
		require.Equal(t, fmt.Sprintf(`"chat_send";r=%d;t=3600`, 2-i), response.Header.Get("RateLimit"))
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
		require.Empty(t, response.Header.Get("Retry-After"))
	}
	response := take(l, "/v1/quota/chat_send/take", "t_acme")
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.Equal(t, `"chat_send";q=3;w=3600`, response.Header.Get("RateLimit-Policy"))
	require.Equal(t, `"chat_send";r=0;t=3600`, response.Header.Get("RateLimit"))
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	after, err := strconv.Atoi(response.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, 3600)
	require.LessOrEqual(t, after, 3600+360)
	var body struct{ Status int }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	require.Equal(t, http.StatusTooManyRequests, body.Status)

	require.Equal(t, http.StatusNoContent, take(l, "/v1/quota/chat_send/take", "t_other").StatusCode)
}

func TestTakeIsAllOrNothing(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 10, Window: time.Hour})
	require.Equal(t, 204, take(l, "/v1/quota/x/take?n=7", "t_acme").StatusCode)
	refused := take(l, "/v1/quota/x/take?n=4", "t_acme")
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, `"x";r=3;t=3600`, refused.Header.Get("RateLimit"))
	require.Equal(t, "fewer than the 4 units asked for are left of the tenant's quota for this action", detail(t, refused))
	require.Equal(t, 204, take(l, "/v1/quota/x/take?n=3", "t_acme").StatusCode)
	require.Equal(t, "the tenant has used up its quota for this action", detail(t, take(l, "/v1/quota/x/take?n=4", "t_acme")))
}

// detail is what a problem says.
func detail(t *testing.T, response *http.Response) string {
	var body struct{ Detail string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	return body.Detail
}

func TestWhatTheQuerySaysIsUnderstoodOrRefusedByName(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 10, Window: time.Hour})
	for query, fault := range map[string]string{
		"n=5;x=1":                        `"n=5;x=1" cannot be read`,
		"n=%zz":                          `"n=%zz" cannot be read`,
		"n=5%":                           `"n=5%" cannot be read`,
		"n=1;n=100":                      `cannot be read`,
		"N=5":                            `unknown parameter "N"`,
		"units=5":                        `unknown parameter "units"`,
		"n[]=5":                          `unknown parameter "n[]"`,
		"n=1&m=100":                      `unknown parameter "m"`,
		"=5":                             `unknown parameter ""`,
		"5":                              `unknown parameter "5"`,
		"n=1&n=1":                        "n is given 2 times",
		"n=":                             `n is ""`,
		"n":                              `n is ""`,
		"n=0":                            `n is "0"`,
		"n=05":                           `n is "05"`,
		"n=%2B5":                         `n is "+5"`,
		"n=+5":                           `n is " 5"`,
		"n=1e1":                          `n is "1e1"`,
		"n=0x5":                          `n is "0x5"`,
		"n=1_0":                          `n is "1_0"`,
		"n=%d9%a5":                       `n is "٥"`,
		"n=5%00":                         `n is "5\x00"`,
		"n=" + strings.Repeat("9", 5000): `n is "999`,
	} {
		response := take(l, "/v1/quota/x/take?"+query, "t_acme")
		require.Equal(t, http.StatusBadRequest, response.StatusCode, query)
		require.Contains(t, detail(t, response), fault, query)
	}
	require.Equal(t, `"x";r=5;t=3600`, take(l, "/v1/quota/x/take?n=5", "t_acme").Header.Get("RateLimit"), "nothing was counted")
	require.Equal(t, 204, take(l, "/v1/quota/x/take?", "t_acme").StatusCode)
}

func TestARefusalOfTheTotalNamesIt(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Action: quota.TotalAction, Limit: 3, Window: time.Hour}, quota.Policy{Limit: 2, Window: time.Minute})
	answer := func(action string, status int, policy, left string) {
		t.Helper()
		response := take(l, "/v1/quota/"+action+"/take", "t_acme")
		require.Equal(t, status, response.StatusCode)
		require.Equal(t, policy, response.Header.Get("RateLimit-Policy"))
		require.Equal(t, left, response.Header.Get("RateLimit"))
		if status == 429 {
			after, err := strconv.Atoi(response.Header.Get("Retry-After"))
			require.NoError(t, err)
			require.Equal(t, strings.Contains(policy, "w=3600"), after >= 3600)
		}
	}
	answer("a", 204, `"a";q=2;w=60`, `"a";r=1;t=60`)
	answer("a", 204, `"a";q=2;w=60`, `"a";r=0;t=60`)
	answer("a", 429, `"a";q=2;w=60`, `"a";r=0;t=60`)
	answer("b", 204, `"all-actions";q=3;w=3600`, `"all-actions";r=0;t=3600`)
	answer("b", 429, `"all-actions";q=3;w=3600`, `"all-actions";r=0;t=3600`)
	require.Contains(t, detail(t, take(l, "/v1/quota/c/take", "t_acme")), "for all actions together")
	require.Equal(t, 400, take(l, "/v1/quota/all-actions/take", "t_acme").StatusCode)
	require.Equal(t, 400, take(l, "/v1/quota/a/take?n=4", "t_acme").StatusCode)
}

func TestAnActionThatAClosedListDoesNotHaveIs400(t *testing.T) {
	l, err := quota.New(memquota.New(), quota.Options{ActionsClosed: true, Policies: []quota.Policy{{Action: "a", Limit: 5, Window: time.Minute}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	require.Equal(t, 204, take(l, "/v1/quota/a/take", "t_acme").StatusCode)
	response := take(l, "/v1/quota/b/take", "t_acme")
	require.Equal(t, 400, response.StatusCode)
	require.Contains(t, detail(t, response), `action "b" is not one that a policy names`)
}

func TestWhatIsNoRequestIs400(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 10, Window: time.Hour})
	for target, tenants := range map[string][]string{
		"/v1/quota/x/take?n=0":                    {"t_acme"},
		"/v1/quota/x/take?n=-1":                   {"t_acme"},
		"/v1/quota/x/take?n=11":                   {"t_acme"},
		"/v1/quota/x/take?n=99999999999999999999": {"t_acme"},
		"/v1/quota/x/take?n=":                     {"t_acme"},
		"/v1/quota/x/take?n=2.0":                  {"t_acme"},
		"/v1/quota/x/take?n=1&n=1":                {"t_acme"},
		"/v1/quota/X/take":                        {"t_acme"},
		"/v1/quota/a__b/take":                     {"t_acme"},
		"/v1/quota/a%2Fb/take":                    {"t_acme"},
		"/v1/quota/a%00/take":                     {"t_acme"},
		"/v1/quota/x/take":                        nil,
		"/v1/quota/x/take?two":                    {"t_acme", "t_acme"},
		"/v1/quota/x/take?upper":                  {"T_ACME"},
		"/v1/quota/x/take?empty":                  {""},
		"/v1/quota/x/take?path":                   {"t_acme/../t_b"},
	} {
		response := take(l, target, tenants...)
		require.Equal(t, http.StatusBadRequest, response.StatusCode, target)
		require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
		require.Empty(t, response.Header.Get("RateLimit"))
	}
}

// downStore answers nothing.
type downStore struct{ *memquota.Store }

func (downStore) Load(context.Context, limits.Key) (limits.Snapshot, error) {
	return limits.Snapshot{}, errors.Join(quota.ErrUnavailable, errors.New("down"))
}

func TestAStoreThatIsDownIs503NotA429(t *testing.T) {
	response := take(limiter(t, downStore{memquota.New()}), "/v1/quota/x/take", "t_acme")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Empty(t, response.Header.Get("RateLimit"))

	l, err := quota.New(downStore{memquota.New()}, quota.Options{OnError: quota.Allow})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	response = take(l, "/v1/quota/x/take", "t_acme")
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	require.Empty(t, response.Header.Get("RateLimit"), "nothing is known of the window")
}

func TestAShadowPolicyAnswersAsIfThereWereRoom(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 1, Window: time.Hour, Shadow: true})
	for range 3 {
		response := take(l, "/v1/quota/x/take", "t_acme")
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.Equal(t, `"x";q=1;w=3600`, response.Header.Get("RateLimit-Policy"))
	}
	require.Equal(t, http.StatusNoContent, take(l, "/v1/quota/x/take?n=2", "t_acme").StatusCode, "more than the limit")
	require.Equal(t, http.StatusBadRequest, take(l, "/v1/quota/x/take?n=1000000001", "t_acme").StatusCode)
}

func TestRetryAfterIsSpread(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 1, Window: time.Hour})
	take(l, "/v1/quota/x/take", "t_acme")
	seen := map[string]bool{}
	for range 50 {
		seen[take(l, "/v1/quota/x/take", "t_acme").Header.Get("Retry-After")] = true
	}
	require.Greater(t, len(seen), 10)
}

func TestMiddlewareRefusesBeforeTheHandler(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 1, Window: time.Hour})
	reached := 0
	throttle, err := quotahttp.New(l, quotahttp.Options{
		Tenant: func(r *http.Request) string { return r.URL.Query().Get("tenant") },
		Action: func(r *http.Request) string {
			if r.Header.Get("Last-Event-ID") != "" {
				return "stream_resume"
			}
			return "stream_connect"
		},
	})
	require.NoError(t, err)
	handler := throttle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached++
		w.WriteHeader(http.StatusOK)
	}))
	ask := func(target, lastEvent string) int {
		request := httptest.NewRequest(http.MethodGet, target, nil)
		if lastEvent != "" {
			request.Header.Set("Last-Event-ID", lastEvent)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	require.Equal(t, 200, ask("/?tenant=t_a", ""))
	require.Equal(t, 429, ask("/?tenant=t_a", ""))
	require.Equal(t, 200, ask("/?tenant=t_a", "7"), "resuming is an action of its own")
	require.Equal(t, 200, ask("/?tenant=t_b", ""))
	require.Equal(t, 400, ask("/", ""))
	require.Equal(t, 3, reached)
	_, err = quotahttp.New(l, quotahttp.Options{})
	require.ErrorContains(t, err, "Action", "when it is set up, not at the first request")
}

// eventSource asks through the middleware as a browser does, as t_acme, for x.
func eventSource(l *quota.Limiter, options quotahttp.Options) *httptest.ResponseRecorder {
	options.Tenant = func(*http.Request) string { return "t_acme" }
	options.Action = func(*http.Request) string { return "x" }
	throttle, err := quotahttp.New(l, options)
	if err != nil {
		panic(err)
	}
	handler := throttle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Accept", "text/event-stream")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestABrowserThatIsThrottledComesBackWhenThereIsRoom(t *testing.T) {
	l := limiter(t, memquota.New(), quota.Policy{Limit: 1, Window: time.Hour})
	require.Equal(t, 204, eventSource(l, quotahttp.Options{}).Code)
	seen := map[int]bool{}
	for range 20 {
		refused := eventSource(l, quotahttp.Options{})
		require.Equal(t, http.StatusOK, refused.Code)
		require.Equal(t, `"x";r=0;t=3600`, refused.Header().Get("RateLimit"))
		var retry int
		var event, reason string
		_, err := fmt.Sscanf(refused.Body.String(), "retry: %d\nevent: %s\ndata: %s\n\n", &retry, &event, &reason)
		require.NoError(t, err, refused.Body)
		require.Equal(t, "registry.closed throttled", event+" "+reason)
		require.GreaterOrEqual(t, retry, 3_599_000, "not before the window ends")
		require.LessOrEqual(t, retry, 3_960_000)
		seen[retry] = true
	}
	require.Greater(t, len(seen), 10, "nor all at once")
	require.Equal(t, http.StatusTooManyRequests, eventSource(l, quotahttp.Options{PlainStatus: true}).Code)
	require.Equal(t, http.StatusTooManyRequests, take(l, "/v1/quota/x/take", "t_acme").StatusCode)
}

func TestABrowserComesBackWhenTheThrottlesStoreIsDown(t *testing.T) {
	l := limiter(t, downStore{memquota.New()})
	refused := eventSource(l, quotahttp.Options{})
	require.Equal(t, http.StatusOK, refused.Code)
	require.Contains(t, refused.Body.String(), "event: registry.closed\ndata: registry_unavailable\n\n")
	require.Equal(t, http.StatusServiceUnavailable, eventSource(l, quotahttp.Options{PlainStatus: true}).Code)
}
