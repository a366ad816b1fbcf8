package config_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

// Any value of any setting, by flag or by variable, is taken or is a fault that names the
// setting, on one line, without what is secret.
func FuzzSettings(f *testing.F) {
	all := config.In(config.Groups())
	values := []string{
		"", "0", "-1", "1h", "1e9", "true", "memory", "127.0.0.1:8080", "[::1]:80", ":99999", "a.b,c.d", "a.b=nexus.tenant.moved.v1", "nexus.tenant.moved.v1=*",
		"/sse/{thread_id}", "@/dev/null", "@missing", "http://127.0.0.1:1,https://x", "http://[::1", "2025-01-31T12:00:00Z", "2025-01-31", "9999-12-31T23:59:59-23:59",
		"0123456789abcdef,fedcba9876543210", "0123456789abcdef\n", "unlimited", "NaN", "+Inf", "\xff", "a\nb", "conflict,schema", strings.Repeat("9", 400),
	}
	for i := range all {
		f.Add(i, values[i%len(values)], i%2 == 0)
	}
	for _, value := range values {
		for _, name := range []string{"listen", "api-token", "accept", "sources", "stream-paths", "since", "at", "rate", "console-peers", "max-age", "subscriptions"} {
			for i, s := range all {
				if s.Name == name {
					f.Add(i, value, true)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, i int, value string, byFlag bool) {
		if strings.HasPrefix(strings.TrimSpace(value), "@/") {
			return // a file of this machine
		}
		s := all[uint(i)%uint(len(all))]
		given := map[string]string{s.Name: value}
		in := input(given, nil)
		if !byFlag {
			in = input(nil, map[string]string{s.Env: value})
		}
		_, err := config.Load(in, config.Groups(), config.NeedAcceptedSubscriptions)
		if err == nil {
			return
		}
		var faults config.Faults
		require.True(t, errors.As(err, &faults), "%v", err)
		for _, fault := range faults {
			text := fault.Error()
			require.True(t, utf8.ValidString(text), "%q", text)
			require.NotContains(t, text, "\n")
			require.Contains(t, text, "--"+fault.Name)
			if s.Secret && len(value) > 8 {
				require.NotContains(t, text, value)
			}
		}
	})
}

// Tokens that are taken can be sent, and are read alike however they are separated.
func FuzzTokens(f *testing.F) {
	for _, text := range []string{"0123456789abcdef", "0123456789abcdef,0123456789abcdeg\n", "0123456789abcdef\r\n\r\n", "\ufeff0123456789abcdef", "0123456789abcde", "0123456789abcdef==", "=0123456789abcdef", "0123456789abcdef x", "a,b,c", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := config.ParseTokens(text)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(tokens), 2)
		for _, token := range tokens {
			r, err := http.NewRequest(http.MethodGet, "http://x", nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+token)
			require.Equal(t, "Bearer "+token, strings.TrimSpace(r.Header.Get("Authorization")))
			require.GreaterOrEqual(t, len(token), 16)
		}
		again, err := config.ParseTokens(strings.Join(tokens, "\n"))
		require.NoError(t, err)
		require.Equal(t, tokens, again)
	})
}
