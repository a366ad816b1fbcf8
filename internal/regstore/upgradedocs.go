package regstore

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// mostUnread bounds how many documents that cannot be read are named.
const mostUnread = 1000

// documents brings every document over that commit 1571751 wrote, in the order of
// names.
func (u *upgrade) documents(ctx context.Context) error {
	const page = 2000
	total, err := u.count(ctx, resources(""))
	if err != nil {
		return err
	}
	for {
		var documents []*docdb.Document
		next := resources(u.cursor)
		next.Limit = page
		err := u.query(ctx, next, func(d *docdb.Document) error {
			documents = append(documents, d)
			return nil
		})
		if err != nil {
			return err
		}
		for rest := documents; len(rest) > 0; {
			n := min(len(rest), u.governor.Chunk(docdb.MaxWrites))
			if err := u.governor.Wait(ctx, n); err != nil {
				return unavailable("wait", err)
			}
			if err := u.bringOver(ctx, rest[:n]); err != nil {
				return err
			}
			u.done.Documents += int64(n)
			u.cursor = rest[n-1].Name
			u.o.Progress(u.done.Documents, total)
			if err := u.save(ctx); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if len(documents) < page {
			return nil
		}
	}
}

// bringOver writes those of the documents that commit 1571751 wrote last. Others
// may write plain sets meanwhile: what has changed is read again.
func (u *upgrade) bringOver(ctx context.Context, documents []*docdb.Document) error {
	for range u.attempts(ctx) {
		deadline := time.Now().Add(u.commitDeadline)
		if u.over { // this release runs, and moves tenants
			ledger, err := u.freshLedger(ctx)
			if err != nil {
				return err
			}
			u.ledger, deadline = ledger.Ledger, u.deadline(ledger)
		}
		var over []broughtOver
		for _, d := range documents {
			if !notUpgraded(d) {
				continue // plain, or brought over
			}
			if b, err := u.convert(d); err == nil {
				over = append(over, b)
			} else if u.o.Tell(err.Error()); len(u.done.Unread) < mostUnread {
				u.done.Unread = append(u.done.Unread, path.Base(d.Name))
			}
		}
		lost, err := u.put(ctx, deadline, over)
		if err != nil || len(lost) == 0 {
			return err
		}
		read, _, err := u.get(ctx, lost)
		if err != nil {
			return err
		}
		documents = documents[:0:0]
		for _, d := range read {
			documents = append(documents, d)
		}
	}
	return unavailable("bring over", fmt.Errorf("document %s: gave up after too many conflicting writes", documents[0].Name))
}

// broughtOver is a document as this release writes it.
type broughtOver struct {
	write             docdb.Write
	claim, owner, was bool
}

// convert returns what brings a document over.
func (u *upgrade) convert(d *docdb.Document) (broughtOver, error) {
	record := decodeAny(d)
	if record.Unread != nil {
		return broughtOver{}, record.Unread
	}
	if record.Resource == (registry.Resource{}) {
		return broughtOver{}, ownership.TooNew(record.Document, fmt.Errorf("its name is that of no resource"))
	}
	b := broughtOver{}
	var history ownership.History
	for _, e := range record.History {
		if claim(record.Resource, e) {
			e.Type, b.claim = ownership.Claimed, true
		}
		history, _ = history.Merge(e)
	}
	record.History = history
	update := record.Update(nil, u.ledger)
	update.Format = history.Format()
	b.owner, b.was = update.TenantID != record.TenantID, !slices.Equal(update.Path, record.Path)
	b.write = u.write(&target{resource: record.Resource}, update, docdb.Condition{Updated: record.UpdateTime})
	return b, nil
}

// claim reports whether an entry is a claim as commit 1571751 stored it: the same
// that is taken for one in its archives.
func claim(r registry.Resource, e ownership.Entry) bool {
	return e.Type == ownership.Created && e.SameEvent(ownership.ClaimEntry(e.Tenant, r, e.Time).Version)
}

// put writes documents, each for itself, and returns the names of those that other
// writers have written meanwhile.
func (u *upgrade) put(ctx context.Context, deadline time.Time, over []broughtOver) (lost []string, err error) {
	for chunk := range slices.Chunk(over, docdb.MaxWrites) {
		writes := make([]docdb.Write, len(chunk))
		for i, b := range chunk {
			writes[i] = b.write
		}
		results, err := u.batchWrite(ctx, deadline, writes)
		if err != nil {
			return nil, err
		}
		for i, b := range chunk {
			switch {
			case results[i] == codes.OK:
				u.note(b)
			case docdb.LostRace(results[i]):
				lost = append(lost, b.write.Name)
			default:
				return nil, unavailable("batch write", fmt.Errorf("%s: %s", b.write.Name, results[i]))
			}
		}
	}
	return lost, nil
}

func (u *upgrade) note(b broughtOver) {
	u.done.Written++
	for counted, n := range map[*int64]bool{&u.done.Claims: b.claim, &u.done.Owners: b.owner, &u.done.Paths: b.was} {
		if n {
			*counted++
		}
	}
}
