package main

import (
	"context"
	"fmt"
)

// scale measures what must hold at the target's size, under the rules of the
// services and 20 ms away. The contenders have no part in it.
func (b *bench) scale(ctx context.Context) (string, error) {
	if b.emulators == nil {
		var err error
		if b.emulators, err = startEmulators(ctx); err != nil {
			return "", err
		}
	}
	var tables string
	for _, part := range []struct {
		name string
		run  func(context.Context) (table, error)
	}{
		{"hot tenants", b.hotTenants},
	} {
		t, err := part.run(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", part.name, err)
		}
		tables += t.String() + "\n"
	}
	return tables, nil
}
