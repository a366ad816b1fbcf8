package main

import (
	"context"
	"fmt"
)

// knows reports whether the registry knows the tenant from which to move, and asks about
// the spelling of the other one, which may be new.
func (in *invocation) knows(ctx context.Context, store registryStore, w wish) (from bool, err error) {
	to, err := store.Knows(ctx, w.To)
	if err != nil {
		return false, err
	}
	if !to {
		fmt.Fprintf(in.Stderr, "The registry knows nothing of %s yet: is it spelt right?\n", w.To)
	}
	return store.Knows(ctx, w.From)
}

// unknownTenant is the error of a command that names a tenant of which the registry
// knows nothing: there may be nothing at all. otherwise says what --unknown does.
func (in *invocation) unknownTenant(ctx context.Context, store registryStore, tenant, otherwise string) error {
	if err := in.needDocuments(ctx, store, "nothing was changed"); err != nil {
		return err
	}
	return fmt.Errorf("the registry knows nothing of %s: it owns nothing and never did, and no move of a whole tenant names it; nothing was changed. "+
		"See how it is spelt: inspect says whose a thread or a canvas is. If its events are still to come, --unknown %s", tenant, otherwise)
}
