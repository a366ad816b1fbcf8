package registry_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// A create flow claims the thread before it answers its client.
func Example() {
	ctx := context.Background()
	r := registry.New(memregistry.New()) // in production: a store of fsregistry.Open
	fmt.Println(r.RegisterThread(ctx, "t_acme", "th_1"))
	fmt.Println(r.RegisterThread(ctx, "t_acme", "th_1")) // repeating it is no error
	err := r.RegisterThread(ctx, "t_globex", "th_1")
	fmt.Println(errors.Is(err, registry.ErrConflict))
	// Output:
	// <nil>
	// <nil>
	// true
}

func ExampleRegistry_Claim() {
	r := registry.New(memregistry.New())
	canvas := registry.Resource{Kind: registry.Canvas, ID: "cv_1"}
	for range 2 {
		created, err := r.Claim(context.Background(), "t_acme", canvas)
		fmt.Println(created, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleRegistry_ThreadTenant() {
	ctx := context.Background()
	r := registry.New(memregistry.New())
	_ = r.RegisterThread(ctx, "t_acme", "th_1")
	fmt.Println(r.ThreadTenant(ctx, "th_1"))
	_, err := r.ThreadTenant(ctx, "th_2")
	fmt.Println(errors.Is(err, registry.ErrNotFound))
	// Output:
	// t_acme <nil>
	// true
}

func ExampleValidateTenant() {
	fmt.Println(registry.ValidateTenant("t_acme"))
	fmt.Println(registry.ValidateTenant("ACME"))
	// Output:
	// <nil>
	// invalid: tenant "ACME" does not match ^t_[a-z0-9_-]{1,126}$
}

func ExampleResource() {
	r := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	fmt.Println(r, r.DocumentID(), r.Validate())
	fmt.Println(registry.Resource{Kind: registry.Thread, ID: "../th_1"}.Validate())
	// Output:
	// thread/th_1 thread__th_1 <nil>
	// invalid: thread id "../th_1" does not match ^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}$
}
