package simulation

import (
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// windows are those that were ever stored, and what was admitted in each, by key.
type windows map[limits.Key]*keyWindows

type keyWindows struct {
	latest   limits.Window // as stored
	limits   map[limits.WindowID]int64
	admitted map[limits.WindowID]int64
}

// windowChange is what a write has changed.
type windowChange struct {
	units  int64 // reserved, less those that were released
	rolled bool
}

// stored is the window of a document.
func stored(fields map[string]*docdb.Value) limits.Window {
	return limits.Window{
		LastReset:  fields["last_reset"].GetDoubleValue(),
		Count:      fields["count"].GetIntegerValue(),
		Length:     time.Duration(fields["length"].GetIntegerValue()) * time.Second,
		Limit:      fields["limit"].GetIntegerValue(),
		Generation: fields["generation"].GetIntegerValue(),
	}
}

func (w windows) of(key limits.Key) *keyWindows {
	if w[key] == nil {
		w[key] = &keyWindows{limits: map[limits.WindowID]int64{}, admitted: map[limits.WindowID]int64{}}
	}
	return w[key]
}

// store takes note of a window that was written. A window keeps its limit, and the
// next one begins when it has ended, unless an operator resets it: that has neither
// length nor limit until there is a request.
func (w windows) store(key limits.Key, next limits.Window) (windowChange, error) {
	k := w.of(key)
	before := k.latest
	k.latest = next
	if next.Length == 0 {
		return windowChange{}, nil
	}
	if limit, known := k.limits[next.ID()]; known && limit != next.Limit {
		return windowChange{}, fmt.Errorf("the window of %s %v had the limit %d, and has %d", key, next.ID(), limit, next.Limit)
	}
	k.limits[next.ID()] = next.Limit
	if before.ID() == next.ID() {
		return windowChange{units: next.Count - before.Count}, nil
	}
	if end := before.LastReset + before.Length.Seconds(); before.Generation == next.Generation && next.LastReset < end-1e-6 {
		return windowChange{}, fmt.Errorf("the window of %s %v begins before the end of %v", key, next.ID(), before.ID())
	}
	return windowChange{units: next.Count, rolled: true}, nil
}

// admit counts units in a window.
func (w windows) admit(key limits.Key, id limits.WindowID, n int64) error {
	k := w.of(key)
	limit, known := k.limits[id]
	if !known {
		return fmt.Errorf("%d units of %s were admitted in %v, a window that was never stored", n, key, id)
	}
	k.admitted[id] += n
	if k.admitted[id] > limit {
		return fmt.Errorf("the window of %s %v has the limit %d, and admitted %d", key, id, limit, k.admitted[id])
	}
	return nil
}

// lasts returns an error if a window has ended at a time of the store's.
func (w windows) lasts(key limits.Key, id limits.WindowID, now time.Time) error {
	if left(id, now) <= 0 {
		return fmt.Errorf("units of %s were admitted at %v in %v, a window that had ended", key, now.Format(time.RFC3339Nano), id)
	}
	return nil
}

func left(id limits.WindowID, t time.Time) time.Duration {
	return limits.Window{LastReset: id.LastReset, Length: id.Length}.Left(t)
}

// only is the window that was the only one since a time of the store's; not ok if
// there was another.
func (w windows) only(key limits.Key, since time.Time) (id limits.WindowID, ok bool) {
	for known := range w.of(key).limits {
		if left(known, since) <= 0 {
			continue
		}
		if ok {
			return limits.WindowID{}, false
		}
		id, ok = known, true
	}
	return id, ok
}
