package api_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

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

func TestARefusedTokenIsCountedAndToldOfWithoutSayingIt(t *testing.T) {
	reader, log := sdkmetric.NewManualReader(), &bytes.Buffer{}
	s := serve(t, api.Options{
		Tokens: []string{"s3cret-api"}, ClaimTokens: []string{"s3cret-claim"},
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	counts := func() map[string]int64 {
		var data metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &data))
		got := map[string]int64{}
		for _, m := range data.ScopeMetrics[0].Metrics {
			if m.Name != "registry.api.tokens.refused" {
				continue
			}
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				reason, _ := p.Attributes.Value("reason")
				got[reason.AsString()] = p.Value
			}
		}
		return got
	}
	require.Equal(t, map[string]int64{"missing": 0, "unknown": 0, "other": 0}, counts())
	const check, claim = "GET /v1/threads/th_1/access" + asAnn, "PUT /v1/threads/th_1" + asAnn
	for range 2000 { // far more than there are lines for
		require.Equal(t, 401, s.ask(t, check).StatusCode)
	}
	s.ask(t, check+"\nAuthorization: Bearer s3cret-old")
	s.ask(t, check+"\nAuthorization: Bearer s3cret-claim")
	s.ask(t, claim+"\nAuthorization: Bearer s3cret-api")
	s.ask(t, claim+"\nAuthorization: Bearer s3cret-claim")
	require.Equal(t, map[string]int64{"missing": 2000, "unknown": 1, "other": 2}, counts())
	lines := strings.Count(log.String(), "token refused")
	require.NotZero(t, lines)
	require.Less(t, lines, 1000)
	require.Contains(t, log.String(), "reason=missing method=GET route=/v1/threads/{id}/access from=")
	require.NotContains(t, log.String(), "s3cret")
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
