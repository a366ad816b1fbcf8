package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// An IndexError is the error of one item of a list.
type IndexError struct {
	Index int
	Err   error
}

func (e *IndexError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

func (e *IndexError) Unwrap() error { return e.Err }

// WatchAll verifies many ownerships, of any tenants, and watches those that hold.
// It is for programs that hold many streams open, or serve others that do. It
// returns the indexes of those that are refused, in order. All others are watched,
// with no gap between the check and the watch. What memory cannot answer is read in
// lists of 500, in turns with those of other Watchers. A refusal waits for
// MissGrace.
//
// The errors are those of Verify; if one of the ownerships is at fault, the error
// is an IndexError. If MaxStaleness is 0, nothing can be watched, and the error is
// ErrUnavailable. ctx bounds only the verifying: the caller closes the Watcher.
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
		w.pending[all[i]] = struct{}{} // nothing is known of it before it has been read
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
