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

func ExampleNew() {
	limiter, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{
		{Action: "stream_connect", Limit: 2, Window: time.Minute},
	}})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(context.Background())

	stream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "data: hello\n\n") })
	throttle, err := quotahttp.New(limiter, quotahttp.Options{
		Action: func(*http.Request) string { return "stream_connect" },
	})
	if err != nil {
		panic(err)
	}
	throttled := throttle(stream)

	for range 3 {
		request := httptest.NewRequest(http.MethodGet, "/v1/threads/th_1/events", nil)
		request.Header.Set("X-Tenant-Id", "t_acme")
		answer := httptest.NewRecorder()
		throttled.ServeHTTP(answer, request)
		fmt.Println(answer.Code, answer.Header().Get("RateLimit"))
	}
	// Output:
	// 200 "stream_connect";r=1;t=60
	// 200 "stream_connect";r=0;t=60
	// 429 "stream_connect";r=0;t=60
}
