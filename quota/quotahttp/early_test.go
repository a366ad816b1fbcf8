package quotahttp

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/quota"
)

func TestAnEarlyRefusalIsForTwoSecondsAtMost(t *testing.T) {
	d := quota.Decision{Contended: true, RetryAfter: quota.MostRetryAfter, ResetAfter: time.Hour, Length: time.Hour, Remaining: 7}
	for range 100 {
		w := httptest.NewRecorder()
		problemOf(w, problem.New(http.StatusTooManyRequests, refusal(d, 1)), retryAfter(d))
		require.Equal(t, "2", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), "at once: try again soon")
	}
}
