package memregistry_test

import (
	"context"
	"fmt"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// A test of a program that claims and checks needs no emulator.
func Example() {
	ctx := context.Background()
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	if err := registry.New(store).RegisterThread(ctx, "t_acme", "th_1"); err != nil {
		panic(err)
	}
	fmt.Println(v.VerifyThreadAccess(ctx, "t_acme", "th_1"))
	fmt.Println(v.VerifyThreadAccess(ctx, "t_globex", "th_1"))
	// Output:
	// <nil>
	// not found
}
