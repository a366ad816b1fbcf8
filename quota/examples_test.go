package quota_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// A policy file is read anew when it changes. The more specific policy holds.
func ExampleOptions_policyFile() {
	file := filepath.Join(os.TempDir(), "policies.yaml")
	defer os.Remove(file)
	if err := os.WriteFile(file, []byte(`
actions: closed           # an action that no policy names is refused
policies:
  - action: export
    limit: 5
    window: 1h
  - tenant: t_acme
    action: export
    limit: 50
    window: 1h
`), 0o600); err != nil {
		panic(err)
	}
	ctx := context.Background()
	limiter, err := quota.New(memquota.New(), quota.Options{PolicyFile: file})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(ctx)
	for _, tenant := range []string{"t_acme", "t_globex"} {
		d, err := limiter.Allow(ctx, tenant, "export")
		fmt.Println(tenant, d.Limit, d.Remaining, err)
	}
	_, err = limiter.Allow(ctx, "t_acme", "import")
	fmt.Println(errors.Is(err, quota.ErrInvalid))
	// Output:
	// t_acme 50 49 <nil>
	// t_globex 5 4 <nil>
	// true
}
