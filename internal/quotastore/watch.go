package quotastore

import (
	"context"
	"fmt"
	"path"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// The targets of a Watch. Resets first: who has been told of policies is told of
// resets too.
const (
	resets = iota
	policies
)

// Watch implements quota.Store.
func (s *Store) Watch(ctx context.Context, w limits.Watcher) error {
	v := view{store: s, watcher: w, policies: map[string]limits.PolicyDocument{}, changed: true}
	targets := make([]docdb.Target, 2)
	targets[resets].Query.Collection = ResetCollection
	targets[policies].Query.Collection = PolicyCollection
	return fmt.Errorf("watch: %w", unavailable(s.db.Listen(ctx, targets, func(e docdb.Event) { v.take(ctx, e) })))
}

// view is what a Watch has been told so far.
type view struct {
	store    *Store
	watcher  limits.Watcher
	policies map[string]limits.PolicyDocument // by id
	changed  bool                             // policies, since they were passed on
}

// take passes on policies when all that has changed was told, and resets at once.
func (v *view) take(ctx context.Context, e docdb.Event) {
	switch {
	case e.Whole && v.changed:
		v.changed = false
		documents := make([]limits.PolicyDocument, 0, len(v.policies))
		for _, d := range v.policies {
			documents = append(documents, d)
		}
		v.watcher.Policies(documents)
	case e.Whole:
	case e.Target == resets && e.Document != nil:
		v.reset(ctx, e.Document)
	case e.Target == resets:
	case e.Document != nil:
		id := path.Base(e.Document.Name)
		v.policies[id], v.changed = policy(id, e.Document), true
	default:
		delete(v.policies, path.Base(e.Gone))
		v.changed = true
	}
}

func policy(id string, d *docdb.Document) limits.PolicyDocument {
	p := limits.PolicyDocument{Name: id, Fields: map[string]any{}}
	for name, value := range d.GetFields() {
		p.Fields[name] = plain(value)
	}
	return p
}

// unknownGeneration is that of no window: a process that is told of it looks
// at the window itself.
const unknownGeneration = -1

func (v *view) reset(ctx context.Context, d *docdb.Document) {
	key, err := limits.ParseDocumentID(path.Base(d.GetName()))
	if err != nil {
		v.store.logger.Warn("a reset for no valid key", "document", d.GetName(), "error", err)
		return
	}
	generation := whole(d.GetFields()[generationField])
	if v.store.understood(ctx, d) != nil {
		generation = unknownGeneration
	}
	v.watcher.Reset(key, generation)
}
