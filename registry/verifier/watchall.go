package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// IndexError is a fault of one of the ownerships of a list.
type IndexError struct {
	Index int
	Err   error
}

func (e *IndexError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

func (e *IndexError) Unwrap() error { return e.Err }

// WatchAll verifies many ownerships, of any tenants, and watches those that hold.
// It is for programs that hold many streams open, or tell others that do. It returns the indexes of
// those that are refused, in order; all others are watched, without a gap between
// the two. What is not answered from memory is read in lists of 500, in turns with
// those of other Watchers. A refusal waits for MissGrace.
//
// The errors are those of Verify, as an IndexError if one of the ownerships is at
// fault; and ErrUnavailable if MaxStaleness is 0, since nothing can be watched then.
// ctx bounds the verifying only: the Watcher is to be closed.
func (v *Verifier) WatchAll(ctx context.Context, ownerships []Ownership) (_ *Watcher, refused []int, err error) {
	if v.cache == nil {
		return nil, nil, fmt.Errorf("watch: %w: MaxStaleness is 0", registry.ErrUnavailable)
	}
	w := &Watcher{
		v: v, asked: make([]certified.Ownership, len(ownerships)), items: make([]item, len(ownerships)),
		pending: map[int32]struct{}{}, wake: make(chan struct{}, 1),
	}
	all := make([]int32, len(ownerships))
	for i, o := range ownerships {
		if err := validate(o.TenantID, o.Resource); err != nil {
			return nil, nil, fmt.Errorf("watch: %w", &IndexError{i, err})
		}
		w.asked[i] = certified.Ownership(o)
		w.items[i].state = isChecked
		all[i] = int32(i)
	}
	w.life, w.cancel = context.WithCancel(v.life)
	w.verifying = true // until the first look is over
	w.changes = v.cache.Subscribe(w.asked, subscriber{w})
	if err := w.look(ctx, all, true); err != nil {
		w.Close()
		return nil, nil, fmt.Errorf("watch: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	refused = w.takeLostLocked()
	w.toldAt = time.Now()
	w.verifying = false
	w.startVerifyingLocked()
	return w, refused, nil
}
