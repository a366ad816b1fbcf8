package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func Example() {
	ctx := context.Background()
	store := memregistry.New() // in production: registry/fsregistry
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	if err := registry.New(store).RegisterThread(ctx, "t_acme", "th_1"); err != nil {
		log.Fatal(err)
	}
	for _, tenant := range []string{"t_acme", "t_globex"} {
		err := v.VerifyThreadAccess(ctx, tenant, "th_1")
		switch {
		case err == nil:
			fmt.Println(tenant, "may stream")
		case errors.Is(err, registry.ErrNotFound):
			fmt.Println(tenant, "gets a 404")
		case errors.Is(err, registry.ErrUnavailable):
			fmt.Println(tenant, "gets a 503")
		}
	}
	// Output:
	// t_acme may stream
	// t_globex gets a 404
}
