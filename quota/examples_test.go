package quota_test

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

// All units or none: what is left stays for a smaller request.
func ExampleLimiter_AllowN() {
	ctx := context.Background()
	limiter, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{{Action: "upload", Limit: 10, Window: time.Minute}}})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(ctx)
	for _, megabytes := range []int{7, 4, 3} {
		d, err := limiter.AllowN(ctx, "t_acme", "upload", megabytes)
		fmt.Println(megabytes, d.Allowed, d.Remaining, err)
	}
	// Output:
	// 7 true 3 <nil>
	// 4 false 3 <nil>
	// 3 true 0 <nil>
}

// The more specific policy holds.
func ExampleParsePolicies() {
	policies, err := quota.ParsePolicies("policies.yaml", []byte(`
policies:
  - limit: 100
    window: 60s
  - action: export
    limit: 5
    window: 1h
  - tenant: t_acme
    action: export
    limit: 50
    window: 1h
`))
	if err != nil {
		panic(err)
	}
	set := quota.NewPolicySet(policies)
	for _, key := range []quota.Key{{Tenant: "t_acme", Action: "export"}, {Tenant: "t_globex", Action: "export"}, {Tenant: "t_globex", Action: "chat_send"}} {
		p := set.Of(key)
		fmt.Println(key, p.Limit, p.Window)
	}
	_, err = quota.ParsePolicies("policies.yaml", []byte("policies:\n  - limt: 5\n"))
	fmt.Println(err)
	// Output:
	// t_acme export 50 1h0m0s
	// t_globex export 5 1h0m0s
	// t_globex chat_send 100 1m0s
	// policies.yaml:2: invalid: limt: not a field of a policy: those are tenant, action, limit, window, shadow
}

// An operator looks at a window, and empties it.
func ExampleReset() {
	ctx := context.Background()
	store, key := memquota.New(), quota.Key{Tenant: "t_acme", Action: "export"}
	policies := quota.Policies{List: []quota.Policy{{Action: "export", Limit: 2, Window: time.Hour}}}
	limiter, err := quota.New(store, quota.Options{Policies: policies.List})
	if err != nil {
		panic(err)
	}
	for range 2 {
		_, _ = limiter.Allow(ctx, key.Tenant, key.Action)
	}
	limiter.Close(ctx) // writes back what it has not used
	show := func() {
		status, err := quota.Show(ctx, store, quota.NewPolicySet(policies), key)
		fmt.Println(status.InForce.Count, "of", status.InForce.Limit, err)
	}
	show()
	if _, err := quota.Reset(ctx, store, key, "ops@example.com"); err != nil {
		panic(err)
	}
	show()
	// Output:
	// 2 of 2 <nil>
	// 0 of 2 <nil>
}
