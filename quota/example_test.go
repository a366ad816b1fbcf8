package quota_test

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memory"
)

func Example() {
	ctx := context.Background()
	limiter, err := quota.New(memory.New(), quota.Options{Policies: []quota.Policy{
		{Limit: 100, Window: time.Minute},
		{Action: "export", Limit: 2, Window: time.Hour},
	}})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(ctx)

	for range 3 {
		decision, err := limiter.Allow(ctx, "t_acme", "export")
		if err != nil {
			panic(err) // answer 503
		}
		fmt.Println(decision.Allowed, decision.Remaining, decision.RetryAfter.Round(time.Minute))
	}
	// Output:
	// true 1 0s
	// true 0 0s
	// false 0 1h0m0s
}
