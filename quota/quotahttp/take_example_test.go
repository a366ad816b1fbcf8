package quotahttp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
)

// Programs in other languages take units over HTTP.
func ExampleTake() {
	limiter, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{{Action: "export", Limit: 1, Window: time.Minute}}})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(context.Background())
	mux := http.NewServeMux()
	mux.Handle("POST /v1/quota/{action}/take", quotahttp.Take(limiter))
	for range 2 {
		request := httptest.NewRequest(http.MethodPost, "/v1/quota/export/take", nil)
		request.Header.Set(quotahttp.TenantHeader, "t_acme")
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		fmt.Println(answer.Code, answer.Header().Get("RateLimit"))
	}
	// Output:
	// 204 "export";r=0;t=60
	// 429 "export";r=0;t=60
}
