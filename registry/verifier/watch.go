package verifier

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// Watch returns a channel that is closed when the owner of the resource may have
// changed, within MaxStaleness of the change, and when that can no longer be
// known: the change feed is not certified, or, with a MaxAge, the last read is too
// old. The holder of an open stream calls it before Verify, so that nothing falls
// between the two, and when it is closed calls it again, and then Reverify.
//
// It is closed already if nothing is certified now: with MaxStaleness 0, and while
// the feed cannot be read. It holds memory until ctx ends or it is closed.
func (v *Verifier) Watch(ctx context.Context, resource registry.Resource) <-chan struct{} {
	if resource.Validate() != nil {
		return (*certified.Cache)(nil).Watch(ctx, resource)
	}
	return v.cache.Watch(ctx, resource)
}
