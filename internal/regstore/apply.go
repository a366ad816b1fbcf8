package regstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// target is all that a batch of changes wants of one document.
type target struct {
	resource registry.Resource
	indexes  []int // of the changes
	entries  []ownership.Entry
	sent     bool // a write that may have been committed is out
	guessed  bool // it is read first on the guess that it exists
	forget   *ownership.Forget
}

// Apply implements ownership.Store. Documents that are thought to be new are
// created without a look; all others, and those that turn out to exist, are read,
// merged, and written on the condition that no other writer did meanwhile. Changes
// of the ledger go through its lane at the same time, so that neither waits for the
// other.
func (s *Store) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	ctx, done := s.telemetry.start(ctx, "apply", len(changes))
	b := &batch{store: s, changes: changes, outcomes: make([]ownership.Outcome, len(changes))}
	targets, ledger := b.split()
	var lane sync.WaitGroup
	lane.Go(func() { b.sendToLane(ctx, ledger) })
	fresh, seen := s.guess.split(targets)
	left := append(b.create(ctx, fresh), seen...)
	_ = b.merge(ctx, inOrder(left)) // the outcomes tell
	lane.Wait()
	done(b.firstFailure())
	return b.outcomes
}

// batch is one call of Apply.
type batch struct {
	store    *Store
	changes  []ownership.Change
	outcomes []ownership.Outcome
	written  atomic.Int64 // documents whose write was committed, as far as is known
	deleted  atomic.Int64 // of them: tombstones

	asked  time.Time // before the documents were read that are merged
	readAt time.Time // when they were, by the store's clock
}

// split refuses what is not valid, groups changes of resources by document,
// and returns the indexes of those that are for the ledger.
func (b *batch) split() (_ []*target, ledger []int) {
	byResource := make(map[registry.Resource]*target, len(b.changes))
	targets := make([]*target, 0, len(b.changes))
	for i, c := range b.changes {
		if err := c.Validate(); err != nil {
			b.outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("apply: %w", err)}
			continue
		}
		if c.OfLedger() {
			ledger = append(ledger, i)
			continue
		}
		t := byResource[c.Resource]
		if t == nil {
			t = &target{resource: c.Resource}
			byResource[c.Resource] = t
			targets = append(targets, t)
		}
		t.indexes = append(t.indexes, i)
		t.entries = append(t.entries, c.Entry)
	}
	return inOrder(targets), ledger
}

// sendToLane has the ledger's lane make the changes with these indexes.
func (b *batch) sendToLane(ctx context.Context, indexes []int) {
	if len(indexes) == 0 {
		return
	}
	changes := make([]ownership.LedgerChange, len(indexes))
	for j, i := range indexes {
		changes[j] = b.changes[i].Entry.LedgerChange()
		changes[j].ToLog = b.changes[i].ToLog
	}
	for j, o := range b.store.lane.change(ctx, changes) {
		b.outcomes[indexes[j]] = o
	}
}

// inOrder sorts targets by document. All requests lock documents in this order,
// so that two that meet wait for one another in one direction only: in any other
// they may wait until both time out. It is enough that each request does: those
// of one batch that are under way at once have no document in common, and none
// holds locks while it waits for another to be sent.
func inOrder(targets []*target) []*target {
	slices.SortFunc(targets, func(a, b *target) int {
		return cmp.Or(strings.Compare(string(a.resource.Kind), string(b.resource.Kind)), strings.Compare(a.resource.ID, b.resource.ID))
	})
	return targets
}

// create writes targets that are thought to be new, and returns those that are
// not, or of which it is not known. While nothing is known of what is coming, a
// small chunk goes first.
func (b *batch) create(ctx context.Context, targets []*target) (left []*target) {
	for len(targets) > 0 {
		ledger, err := b.store.freshLedger(ctx)
		if err != nil {
			b.fail(targets, err)
			return left
		}
		n := b.store.guess.chunk(docdb.MaxWrites)
		if n == 0 { // the last chunk showed that reading first is cheaper
			return append(left, targets...)
		}
		n = fitting(targets, n, func(t *target) int { return weight(t.entries) })
		left = append(left, b.createChunk(ctx, targets[:n], ledger)...)
		targets = targets[n:]
	}
	return left
}

func (b *batch) createChunk(ctx context.Context, chunk []*target, ledger *certifiedLedger) (left []*target) {
	creations, writes := make([]pending, 0, len(chunk)), make([]docdb.Write, 0, len(chunk))
	for _, t := range chunk {
		p := pending{target: t, update: ownership.Record{}.Update(t.entries, ledger.Ledger)}
		if !p.update.Write { // the ledger has an entry that is not understood: nothing can be folded with it
			b.note(t, p.update)
			continue
		}
		creations, writes = append(creations, p), append(writes, b.store.write(t, p.update, docdb.Absent))
	}
	if len(writes) == 0 {
		return nil
	}
	results, err := b.store.batchWrite(ctx, b.store.deadline(ledger), writes)
	existed := 0
	for i, p := range creations {
		switch {
		case err != nil: // perhaps committed: reading will tell
			p.sent = true
			left = append(left, p.target)
		case results[i] == codes.OK:
			b.wrote(p)
		case results[i] == codes.AlreadyExists:
			existed++
			left = append(left, p.target)
		default:
			p.sent = true
			left = append(left, p.target)
		}
	}
	if err == nil {
		b.store.guess.learn(existed, len(creations))
	}
	return left
}

// wrote counts a committed write, and records its outcomes.
func (b *batch) wrote(p pending) {
	b.written.Add(1)
	if p.update.History.Deleted() {
		b.deleted.Add(1)
	}
	b.note(p.target, p.update)
}

// note records the outcomes of a committed update.
func (b *batch) note(t *target, u ownership.Update) {
	b.store.guess.remember(t.resource)
	for j, i := range t.indexes {
		b.outcomes[i] = u.Outcomes[j]
	}
}

// noteUnwritten records outcomes that needed no write. They are duplicates, unless
// an earlier write of this batch may have been committed and its answer was lost:
// then the entry that was found counts as ours. (Another delivery of the same event
// may have written it. Both are applied then, which is harmless.)
func (b *batch) noteUnwritten(p pending) {
	if p.sent {
		for j, o := range p.update.Outcomes {
			if o.Kind == ownership.Duplicate {
				p.update.Outcomes[j].Kind = ownership.Applied
			}
		}
	}
	b.note(p.target, p.update)
}

func (b *batch) fail(targets []*target, err error) {
	for _, t := range targets {
		for _, i := range t.indexes {
			b.outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("apply to %s: %w", t.resource, asUnavailable(err))}
		}
	}
}

func (b *batch) firstFailure() error {
	for _, o := range b.outcomes {
		if o.Kind == ownership.Failed {
			return o.Err
		}
	}
	return nil
}
