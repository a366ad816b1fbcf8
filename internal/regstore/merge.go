package regstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// merge reads targets, merges, and writes, until every race is won or the
// attempts are used up. The error tells why some could not be written.
//
// A commit is lost as a whole if one of its documents was written meanwhile. Each
// attempt after such a loss commits half as many at once: what no other writer
// touches is through after a few, and what is contended is alone in the end.
func (b *batch) merge(ctx context.Context, targets []*target) error {
	lost := errors.New("gave up after too many conflicting writes")
	size := mostNoticed
	if len(targets) == 0 {
		return nil
	}
	for attempt := range b.store.attempts(ctx) {
		records, ledger, err := b.read(ctx, targets)
		if err != nil {
			lost = err
			break
		}
		if attempt == 0 {
			b.learn(targets, records)
		}
		var transport error
		if targets, transport = b.write(ctx, targets, records, ledger, size); transport != nil {
			lost = transport
			if attempt > 0 { // only the first attempt is followed by a read that shows whether it was committed
				break
			}
		}
		if len(targets) == 0 {
			return nil
		}
		size = max(1, min(size, len(targets))/2)
	}
	b.fail(targets, lost)
	return asUnavailable(lost)
}

// learn takes note of whether documents that were read on a guess existed.
func (b *batch) learn(targets []*target, records []ownership.Record) {
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
func (b *batch) read(ctx context.Context, targets []*target) ([]ownership.Record, *certifiedLedger, error) {
	records := make([]ownership.Record, 0, len(targets))
	b.asked = time.Now()
	for len(records) < len(targets) {
		chunk := targets[len(records):min(len(targets), len(records)+docdb.MaxReads)]
		names := make([]string, len(chunk))
		for i, t := range chunk {
			names[i] = b.store.resourceName(t.resource)
		}
		documents, at, err := b.store.get(ctx, names)
		if err != nil {
			return nil, nil, err
		}
		if len(records) == 0 {
			b.readAt = at
		}
		for i, t := range chunk {
			records = append(records, b.store.decodeOrMissing(ctx, t.resource, documents[names[i]]))
		}
	}
	ledger, err := b.store.ledgerFor(ctx, records)
	return records, ledger, err
}

// mostNoticed is how many documents are committed with one feed entry: about half
// of the largest event, which makes two commits at once of it, so that a lost race
// costs half of it. The entry's names take at most 66 KB.
const mostNoticed = 250

// mostCommits bounds the requests of one batch that are under way at once.
const mostCommits = 8

// write commits what the merged records want, several requests at a time, and
// returns the targets to be read again, with the error if there was one other
// than a lost race. Documents whose cached copies are made wrong go together
// with a feed entry, at most size of them in one commit.
func (b *batch) write(ctx context.Context, targets []*target, records []ownership.Record, ledger *certifiedLedger, size int) (left []*target, failure error) {
	var quiet, noticed []pending
	for i, t := range targets {
		records[i].Forget = t.forget
		p := pending{target: t, update: records[i].Update(t.entries, ledger.Ledger), record: records[i]}
		if !p.update.Write {
			b.noteUnwritten(p)
			continue
		}
		// Here, since a panic in the goroutines below would end the process.
		p.write = b.store.write(t, p.update, p.precondition())
		p.toLog = b.toLog(p, ledger.Ledger)
		switch {
		case p.update.Feed || len(p.toLog) > 0:
			noticed = append(noticed, p)
		default:
			quiet = append(quiet, p)
		}
	}
	var mu sync.Mutex // of left and failure
	var requests errgroup.Group
	requests.SetLimit(mostCommits)
	send := func(write func(context.Context, *certifiedLedger, []pending) ([]*target, error), chunk []pending) {
		requests.Go(func() error {
			again, err := write(ctx, ledger, chunk)
			mu.Lock()
			defer mu.Unlock()
			left, failure = append(left, again...), errors.Join(failure, err)
			return nil
		})
	}
	for chunk := range chunks(quiet, docdb.MaxWrites) {
		send(b.writeQuietly, chunk)
	}
	for chunk := range chunks(noticed, size) {
		send(b.writeWithNotice, chunk)
	}
	_ = requests.Wait() // each has told
	return inOrder(left), failure
}

// pending is a target with what is to be written of it.
type pending struct {
	*target
	update ownership.Update
	record ownership.Record
	write  docdb.Write        // of the document
	toLog  []ownership.Change // what of it goes into the outbox
}

// toLog is what an update stores that no topic has, as it is stored.
func (b *batch) toLog(p pending, ledger *ownership.Ledger) (all []ownership.Change) {
	for j, i := range p.indexes {
		if o := p.update.Outcomes[j].Kind; b.changes[i].ToLog && (o == ownership.Applied || o == ownership.Inapplicable) {
			all = append(all, ownership.Change{Resource: p.resource, Entry: p.entries[j].Anonymous(ledger)})
		}
	}
	return all
}

func (p pending) precondition() docdb.Condition {
	if !p.record.Exists() {
		return docdb.Absent
	}
	return docdb.Condition{Updated: p.record.UpdateTime}
}

// writeQuietly writes documents that need no feed entry, each for itself.
func (b *batch) writeQuietly(ctx context.Context, ledger *certifiedLedger, chunk []pending) (left []*target, failure error) {
	writes := make([]docdb.Write, len(chunk))
	for i, p := range chunk {
		writes[i] = p.write
	}
	results, err := b.store.batchWrite(ctx, b.store.deadline(ledger), writes)
	for i, p := range chunk {
		switch {
		case err != nil:
			p.sent = true
			left = append(left, p.target)
		case results[i] == codes.OK:
			b.wrote(p)
		default:
			if !docdb.LostRace(results[i]) {
				p.sent = true
				failure = unavailable("batch write", fmt.Errorf("%s: %s", p.resource, results[i]))
			}
			left = append(left, p.target)
		}
	}
	return left, errors.Join(err, failure)
}

// writeWithNotice commits documents together with the feed entry that names them
// all, and with what of them goes into the outbox. If the commit fails, all of them are
// to be read again.
func (b *batch) writeWithNotice(ctx context.Context, ledger *certifiedLedger, chunk []pending) (left []*target, failure error) {
	writes := make([]docdb.Write, 0, len(chunk)+1)
	resources := make([]registry.Resource, len(chunk))
	var toLog []ownership.Change
	for i, p := range chunk {
		writes, resources[i], toLog = append(writes, p.write), p.resource, append(toLog, p.toLog...)
	}
	outbox, logged := b.store.outboxWrites(b.readAt, toLog...)
	deadline := b.store.deadline(ledger)
	if len(outbox) > 0 {
		deadline = earlier(deadline, b.store.sweptNoSooner(b.asked))
	}
	writes = append(append(writes, b.store.feedWrite(resources...)), outbox...)
	_, err := b.store.commit(ctx, deadline, writes...)
	if err == nil {
		b.store.tellLogged(logged)
	}
	for _, p := range chunk {
		if err == nil {
			b.wrote(p)
			continue
		}
		p.sent = p.sent || !docdb.LostTheRace(err)
		left = append(left, p.target)
	}
	if err != nil && !docdb.LostTheRace(err) {
		return left, err
	}
	return left, nil
}
