package quotahttp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
)

// Whatever is asked for, the answer is one of the contract, and what is taken is what
// the query says.
func FuzzTake(f *testing.F) {
	for _, query := range []string{"", "n=1", "n=5", "n=6", "n=0", "n=-1", "n=1&n=2", "n=%31", "N=1", "n=1;x", "n=1e0", "n=+1", "n= 1", "n=99999999999999999999", "m=1", "n=1#x", "%zz", "n"} {
		f.Add("chat_send", "t_acme", query)
	}
	f.Add("all-actions", "t_acme", "")
	f.Add("a__b", "t_acme", "")
	f.Add("chat_send", "T", "")
	const limit = 5
	f.Fuzz(func(t *testing.T, action, tenant, query string) {
		l := limiter(t, memquota.New(), quota.Policy{Limit: limit, Window: time.Hour})
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		r.SetPathValue("action", action)
		r.Header.Set(quotahttp.TenantHeader, tenant)
		w := httptest.NewRecorder()
		quotahttp.Take(l).ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest:
		case http.StatusNoContent:
			n := 1
			values, err := url.ParseQuery(query)
			require.NoError(t, err)
			if values.Has("n") {
				n, err = strconv.Atoi(values.Get("n"))
				require.NoError(t, err)
			}
			require.Contains(t, w.Header().Get("RateLimit"), ";r="+strconv.Itoa(limit-n)+";")
		default:
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	})
}
