//go:build proofs

package robustness

import (
	"fmt"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Of some families one tenant leaves, and is erased: its last.
const (
	leavers     = 60 // more than one run erases
	firstLeaver = 2 * families
)

func leaver(i int) string { return tenant(firstLeaver+i, siblings-1) }

// family draws one: of four that of who leaves next.
func (w *world) family() int {
	if w.random.IntN(4) == 0 && w.left < leavers {
		return firstLeaver + w.left
	}
	return w.random.IntN(families)
}

// two draws two tenants of a family that have not left.
func (w *world) two(family int) (a, b string) {
	n := siblings
	if family >= firstLeaver && family < firstLeaver+w.left {
		n-- // nothing is published for it any more
	}
	i := w.random.IntN(n)
	return tenant(family, i), tenant(family, (i+1+w.random.IntN(n-1))%n)
}

// leave returns a tenant for which nothing is published any more, but what is on its
// way. Without one it returns "".
func (w *world) leave() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == leavers {
		return ""
	}
	w.left++
	return leaver(w.left - 1)
}

// leaving makes a resource for a claim by the leaver i: who leaves next, or who left
// last and must not get it once it has been erased.
func (w *world) leaving() (r registry.Resource, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	i = min(w.left, leavers-1)
	if i > 0 && w.random.IntN(4) == 0 {
		i--
	}
	return registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint("left_", w.made)}, i
}

// claimedByLeaver makes the event of a claim, unless its tenant has left since.
func (w *world) claimedByLeaver(r registry.Resource, i int) (e events.Event, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left > i {
		return e, false
	}
	w.known = append(w.known, known{r, firstLeaver + i, leaver(i)})
	return w.created(r, leaver(i)), true
}

// deletions makes the deletion of a resource, now and then of one that never was, or
// several.
func (w *world) deletions(r registry.Resource) (all []events.Event) {
	if w.random.IntN(10) == 0 {
		r.ID = fmt.Sprint("never_", w.made)
	}
	for more := true; more; more = w.random.IntN(5) == 0 {
		if r.Kind == registry.Thread {
			all = append(all, w.event(events.ThreadDeleted{ThreadID: r.ID}))
		} else {
			all = append(all, w.event(events.CanvasDeleted{CanvasID: r.ID}))
		}
	}
	return all
}
