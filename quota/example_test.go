package quota_test

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func Example() {
	ctx := context.Background()
	limiter, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{
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

// A closed list of actions, and a bound on all of them together.
func Example_allActions() {
	ctx := context.Background()
	limiter, err := quota.New(memquota.New(), quota.Options{ActionsClosed: true, Policies: []quota.Policy{
		{Action: "chat_send", Limit: 2, Window: time.Minute},
		{Action: "export", Limit: 2, Window: time.Minute},
		{Action: quota.TotalAction, Limit: 3, Window: time.Hour},
	}})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(ctx)

	for _, action := range []string{"chat_send", "chat_send", "chat_send", "export", "export", "invented"} {
		decision, err := limiter.Allow(ctx, "t_acme", action)
		fmt.Println(action, decision.Allowed, "total:", decision.Total, err)
	}
	// Output:
	// chat_send true total: false <nil>
	// chat_send true total: false <nil>
	// chat_send false total: false <nil>
	// export true total: true <nil>
	// export false total: true <nil>
	// invented false total: false invalid: action "invented" is not one that a policy names, and the list of actions is closed
}
