package firestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The most that goes into one request. The service takes 10 MiB.
const (
	maxWrites = 500
	maxReads  = 500
	maxBytes  = 8 << 20
)

// target is all that a batch of changes wants of one document.
type target struct {
	resource registry.Resource
	indexes  []int // of the changes
	entries  []registry.Entry
	sent     bool // a write that may have been committed is out
	guessed  bool // it is read first on the guess that it exists
}

// Apply implements registry.Store. Documents that are thought to be new are
// created without a look; all others, and those that turn out to exist, are
// read, merged, and written on the condition that nobody else did meanwhile.
// Changes of the ledger go through its lane at the same time, so that neither
// waits for the other.
func (s *Store) Apply(ctx context.Context, changes []registry.Change) []registry.Outcome {
	ctx, done := s.telemetry.start(ctx, "apply", len(changes))
	b := &batch{store: s, changes: changes, outcomes: make([]registry.Outcome, len(changes))}
	targets, ledger := b.split()
	var lane sync.WaitGroup
	lane.Go(func() { b.changeLedger(ctx, ledger) })
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
	changes  []registry.Change
	outcomes []registry.Outcome
	written  int // documents whose write was committed, as far as is known
}

// split refuses what has no valid name, groups changes of resources by document,
// and returns the indexes of those that are for the ledger.
func (b *batch) split() (_ []*target, ledger []int) {
	byResource := make(map[registry.Resource]*target, len(b.changes))
	targets := make([]*target, 0, len(b.changes))
	for i, c := range b.changes {
		if c.Resource == (registry.Resource{}) {
			ledger = append(ledger, i)
			continue
		}
		if err := c.Resource.Validate(); err != nil {
			b.outcomes[i] = registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("apply: %w", err)}
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

// changeLedger brings changes, by their indexes, into the ledger.
func (b *batch) changeLedger(ctx context.Context, indexes []int) {
	if len(indexes) == 0 {
		return
	}
	changes := make([]registry.LedgerChange, len(indexes))
	for j, i := range indexes {
		changes[j] = b.changes[i].Entry.LedgerChange()
	}
	for j, o := range b.store.lane.change(ctx, changes) {
		b.outcomes[indexes[j]] = o
	}
}

// inOrder sorts targets by document. All requests lock documents in this order,
// so that two that meet wait for one another in one direction only: in any other
// they may wait until both time out.
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
		n := b.store.guess.chunk(maxWrites)
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
	updates := make([]registry.Update, len(chunk))
	writes := make([]*firestorepb.Write, len(chunk))
	for i, t := range chunk {
		updates[i] = registry.Record{}.Update(t.entries, ledger.Ledger)
		writes[i] = b.store.write(t, updates[i], absent())
	}
	results, err := b.store.batchWrite(ctx, b.store.deadline(ledger), writes)
	if err != nil { // perhaps committed: reading will tell
		for _, t := range chunk {
			t.sent = true
		}
		return chunk
	}
	existed := 0
	for i, t := range chunk {
		switch results[i] {
		case codes.OK:
			b.written++
			b.settle(t, updates[i])
		case codes.AlreadyExists:
			existed++
			left = append(left, t)
		default:
			t.sent = true
			left = append(left, t)
		}
	}
	b.store.guess.learn(existed, len(chunk))
	return left
}

// merge reads targets, merges, and writes, until every race is won or the
// attempts are used up. The error tells why some could not be written.
func (b *batch) merge(ctx context.Context, targets []*target) error {
	lost := errors.New("the document never stood still")
	for attempt := range b.store.attempts(ctx) {
		if len(targets) == 0 {
			return nil
		}
		records, ledger, err := b.read(ctx, targets)
		if err != nil {
			lost = err
			break
		}
		if attempt == 0 {
			b.learn(targets, records)
		}
		var transport error
		if targets, transport = b.write(ctx, targets, records, ledger, attempt > 0); transport != nil {
			lost = transport
			if attempt > 0 { // the first time, a look whether it was committed
				break
			}
		}
	}
	if len(targets) == 0 {
		return nil
	}
	b.fail(targets, lost)
	return asUnavailable(lost)
}

// learn takes note of whether documents that were read on a guess existed.
func (b *batch) learn(targets []*target, records []registry.Record) {
	existed, guessed := 0, 0
	for i, t := range targets {
		if t.guessed {
			guessed++
			if records[i].Exists() {
				existed++
			}
		}
	}
	b.store.guess.learn(existed, guessed)
}

// read returns the targets' records, and a ledger that is not older than any of
// them.
func (b *batch) read(ctx context.Context, targets []*target) ([]registry.Record, *certifiedLedger, error) {
	records := make([]registry.Record, 0, len(targets))
	for len(records) < len(targets) {
		chunk := targets[len(records):min(len(targets), len(records)+maxReads)]
		names := make([]string, len(chunk))
		for i, t := range chunk {
			names[i] = b.store.resourceName(t.resource)
		}
		documents, _, err := b.store.batchGet(ctx, names)
		if err != nil {
			return nil, nil, err
		}
		for i, t := range chunk {
			records = append(records, b.store.decodeOrMissing(ctx, t.resource, documents[names[i]]))
		}
	}
	ledger, err := b.store.ledgerFor(ctx, records)
	return records, ledger, err
}

// write commits what the merged records want, and returns the targets to be
// read again, with the error where there was one other than a lost race.
// Documents whose cached copies are made wrong go together with their feed
// entries, in one commit as long as nobody interferes.
func (b *batch) write(ctx context.Context, targets []*target, records []registry.Record, ledger *certifiedLedger, alone bool) (left []*target, failure error) {
	var quiet, noticed []pending
	for i, t := range targets {
		p := pending{t, records[i].Update(t.entries, ledger.Ledger), records[i]}
		switch {
		case !p.update.Write:
			b.settleUnwritten(p)
		case p.update.Feed:
			noticed = append(noticed, p)
		default:
			quiet = append(quiet, p)
		}
	}
	deadline := b.store.deadline(ledger)
	for chunk := range chunks(quiet, maxWrites) {
		again, err := b.writeQuietly(ctx, deadline, chunk)
		left, failure = append(left, again...), errors.Join(failure, err)
	}
	size := maxWrites / 2
	if alone {
		size = 1
	}
	for chunk := range chunks(noticed, size) {
		again, err := b.writeWithNotice(ctx, deadline, chunk)
		left, failure = append(left, again...), errors.Join(failure, err)
	}
	return left, failure
}

// pending is a target with what is to be written of it.
type pending struct {
	*target
	update registry.Update
	record registry.Record
}

func (p pending) precondition() *firestorepb.Precondition {
	if !p.record.Exists() {
		return absent()
	}
	return unchangedSince(p.record.UpdateTime)
}

// writeQuietly writes documents that need no feed entry, each for itself.
func (b *batch) writeQuietly(ctx context.Context, deadline time.Time, chunk []pending) (left []*target, failure error) {
	writes := make([]*firestorepb.Write, len(chunk))
	for i, p := range chunk {
		writes[i] = b.store.write(p.target, p.update, p.precondition())
	}
	results, err := b.store.batchWrite(ctx, deadline, writes)
	for i, p := range chunk {
		switch {
		case err != nil:
			p.sent = true
			left = append(left, p.target)
		case results[i] == codes.OK:
			b.written++
			b.settle(p.target, p.update)
		default:
			if !lostRace(results[i]) {
				p.sent = true
				failure = unavailable("batch write", fmt.Errorf("%s: %s", p.resource, results[i]))
			}
			left = append(left, p.target)
		}
	}
	return left, errors.Join(err, failure)
}

// writeWithNotice commits documents together with their feed entries. Where the
// commit fails, all of them are to be read again.
func (b *batch) writeWithNotice(ctx context.Context, deadline time.Time, chunk []pending) (left []*target, failure error) {
	var writes []*firestorepb.Write
	for _, p := range chunk {
		writes = append(writes, b.store.write(p.target, p.update, p.precondition()), b.store.feedWrite(p.resource))
	}
	_, err := b.store.commit(ctx, deadline, writes...)
	for _, p := range chunk {
		if err == nil {
			b.written++
			b.settle(p.target, p.update)
			continue
		}
		p.sent = p.sent || !errorIsLostRace(err)
		left = append(left, p.target)
	}
	if err != nil && !errorIsLostRace(err) {
		return left, err
	}
	return left, nil
}

// settle notes the outcomes of a committed update.
func (b *batch) settle(t *target, u registry.Update) {
	b.store.guess.remember(t.resource)
	for j, i := range t.indexes {
		b.outcomes[i] = u.Outcomes[j]
	}
}

// settleUnwritten notes outcomes that needed no write: duplicates, but for those
// that are duplicates of our own write whose answer was lost.
func (b *batch) settleUnwritten(p pending) {
	if p.sent {
		for j, o := range p.update.Outcomes {
			if o.Kind == registry.Duplicate {
				p.update.Outcomes[j].Kind = registry.Applied
			}
		}
	}
	b.settle(p.target, p.update)
}

func (b *batch) fail(targets []*target, err error) {
	for _, t := range targets {
		for _, i := range t.indexes {
			b.outcomes[i] = registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("apply to %s: %w", t.resource, asUnavailable(err))}
		}
	}
}

func (b *batch) firstFailure() error {
	for _, o := range b.outcomes {
		if o.Kind == registry.Failed {
			return o.Err
		}
	}
	return nil
}

// weight is about how many bytes entries take in a request.
func weight(entries []registry.Entry) int {
	const document, entry = 300, 150 // names of documents, fields and tenants
	bytes := document
	for _, e := range entries {
		bytes += entry + len(e.Source) + len(e.ID)
	}
	return bytes
}

// chunks cuts what is pending so that each chunk fits one request.
func chunks(all []pending, most int) iter.Seq[[]pending] {
	return func(yield func([]pending) bool) {
		for len(all) > 0 {
			n := fitting(all, most, func(p pending) int { return weight(p.update.History) })
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// fitting is how many of the first items, at most most and at least one, fit
// one request.
func fitting[T any](items []T, most int, weight func(T) int) int {
	bytes := 0
	for i, item := range items[:min(most, len(items))] {
		if bytes += weight(item); bytes > maxBytes && i > 0 {
			return i
		}
	}
	return min(most, len(items))
}
