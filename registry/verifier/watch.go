package verifier

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// Watch returns a channel that is closed within MaxStaleness of any change of the
// resource's owner. It is also closed when changes can no longer be seen: the
// change feed is not certified, or, with a MaxAge, the last read is too old.
//
// The holder of an open stream calls Watch before Verify, so that no change falls
// between the two. When the channel is closed, it calls Watch again, and then
// Reverify.
//
// The channel is closed from the start if nothing is certified: with MaxStaleness
// 0, and while the feed cannot be read. It holds memory until ctx ends or it is
// closed.
func (v *Verifier) Watch(ctx context.Context, resource registry.Resource) <-chan struct{} {
	if resource.Validate() != nil {
		return (*certified.Cache)(nil).Watch(ctx, resource)
	}
	return v.cache.Watch(ctx, resource)
}
