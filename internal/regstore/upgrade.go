package regstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// UpgradeOptions say how to bring a registry over.
type UpgradeOptions struct {
	Rate governor.Rate // documents a second; default: Firestore's ramp
	// Tell is told what happens, for people; Progress how many of how many
	// documents were looked at. Either may be nil.
	Tell     func(text string)
	Progress func(looked, total int64)
}

// Upgraded is what bringing a registry over has done, in all its runs.
type Upgraded struct {
	Entries   int64 // of the ledger that were brought over
	Documents int64 // that were looked at
	Written   int64 // and brought over
	Claims    int64 // creations that became claims
	Owners    int64 // documents whose tenant_id is another one now
	Paths     int64 // documents whose path is another one now
	Unread    []string
}

// Upgrade brings a registry of commit 1571751 over to this release, for which
// every process of that commit must have been stopped (docs/upgrades.md).
//
// First comes the fence, together with a position of the ledger that no process
// knows: what still runs of that commit can neither answer nor write what it had
// not written within LedgerStaleness and CommitDeadline, which Upgrade waits for.
// Then every entry of the ledger and every document gets its format; claims that
// were stored as creations become claims, and the owner and the path that are
// stored become those of the fold. Last, the head says who may take part: until
// then this release does not start either.
//
// It may be ended at any time and run again: it goes on behind the last document
// that it is known to have brought over. What it cannot read it leaves alone, and
// names. A registry that was brought over is looked through, and stays as it is,
// except that a head or a fence which was deleted is made anew.
// A database without a registry is an error. Others wrap registry.ErrUnavailable.
func Upgrade(ctx context.Context, db docdb.DB, o Options, u UpgradeOptions) (Upgraded, error) {
	s, err := newStore(db, o)
	if err != nil {
		return Upgraded{}, err
	}
	if u.Tell == nil {
		u.Tell = func(string) {}
	}
	if u.Progress == nil {
		u.Progress = func(int64, int64) {}
	}
	up := &upgrade{Store: s, o: u, governor: governor.New(u.Rate)}
	if err := up.run(ctx); err != nil {
		return up.done, fmt.Errorf("upgrade: %w", err)
	}
	return up.done, nil
}

// upgrade is one run.
type upgrade struct {
	*Store
	o        UpgradeOptions
	governor *governor.Governor
	ledger   *ownership.Ledger
	done     Upgraded
	over     bool   // the head says who may take part
	headless bool   // there is a fence and no head: it was deleted
	cursor   string // the name of the last document that is done
	saved    time.Time
}

func (u *upgrade) run(ctx context.Context) error {
	if err := u.fence(ctx); err != nil {
		return err
	}
	if err := u.resume(ctx); err != nil {
		return err
	}
	if err := u.entries(ctx); err != nil {
		return err
	}
	if u.headless && u.cursor == "" { // it was brought over: processes need not wait for the documents
		if err := u.finish(ctx); err != nil {
			return err
		}
	}
	if err := u.documents(ctx); err != nil {
		return err
	}
	return u.finish(ctx)
}

// fence makes the fence if there is none, and waits until nothing that was
// under way before can be committed any more.
func (u *upgrade) fence(ctx context.Context) error {
	documents, now, err := u.get(ctx, []string{u.headName(), u.fenceName()})
	if err != nil {
		return err
	}
	head, fence := documents[u.headName()], documents[u.fenceName()]
	// Even if this release has written to what it took for a new registry.
	if u.over = head != nil && !docdb.Missing(head.Fields[fieldFormat]); u.over {
		if _, err := u.look(ctx, head, now); err != nil {
			return err
		}
		if err := u.mayWrite(ctx); err != nil {
			return err
		}
	}
	if head == nil && fence == nil {
		if err := u.needRegistry(ctx); err != nil {
			return err
		}
	}
	u.headless = head == nil && fence != nil
	since := now
	if fence != nil {
		since = fence.UpdateTime.AsTime()
	} else if since, err = u.putUpFence(ctx, head); err != nil {
		return err
	}
	wait := u.WriterHorizon() - max(0, now.Sub(since))
	if wait <= 0 {
		return nil
	}
	u.o.Tell(fmt.Sprintf("waiting %s for what may still be under way", wait.Round(time.Second)))
	select {
	case <-ctx.Done():
		return unavailable("wait", ctx.Err())
	case <-time.After(wait):
		return nil
	}
}

// needRegistry returns an error if the database has nothing of a registry: a head there
// would have processes that knew the lost one go on, and claim what others own.
func (u *upgrade) needRegistry(ctx context.Context) error {
	found, err := u.HasDocuments(ctx)
	if err != nil || found {
		return err
	}
	entries, err := u.queryLedger(ctx, fieldSeq, 0, 1, time.Time{})
	if err == nil && len(entries) == 0 {
		err = errors.New("there is no registry in this database: see that --database and --collection-prefix name the one that is meant; one that was lost comes back by docs/recovery.md")
	}
	return err
}

// putUpFence makes the fence, and returns when. If the head does not keep
// commit 1571751 out yet, it goes one position further with it, behind everything
// that is in the ledger.
func (u *upgrade) putUpFence(ctx context.Context, head *docdb.Document) (time.Time, error) {
	writes := []docdb.Write{u.fenceWrite(fenceBeyond, nil)}
	if !u.over {
		_, last, err := u.ledgerEntries(ctx, 0, time.Time{})
		if err != nil {
			return time.Time{}, err
		}
		position := max(head.GetFields()[fieldPosition].GetIntegerValue(), last) + 1
		writes = []docdb.Write{u.bareHead(position, head), u.fenceWrite(position, nil)}
	}
	receipt, err := u.commit(ctx, time.Now().Add(u.commitDeadline), writes...)
	if err == nil {
		u.o.Tell("the fence stands: what still runs of commit 1571751 fails from now on")
	}
	return receipt.At, err
}

// bareHead raises the position of a head that does not say who may take part.
func (u *upgrade) bareHead(position int64, head *docdb.Document) docdb.Write {
	return docdb.Write{
		Name:   u.headName(),
		Fields: map[string]*docdb.Value{fieldPosition: docdb.Integer(position)},
		Mask:   []string{fieldPosition},
		Times:  []string{fieldChangedAt},
		If:     docdb.AsRead(head),
	}
}

// entries gives every entry of the ledger its format.
func (u *upgrade) entries(ctx context.Context) error {
	documents, err := u.queryLedger(ctx, fieldSeq, 0, 0, time.Time{})
	if err != nil {
		return err
	}
	var writes []docdb.Write
	var entries []ownership.LedgerEntry
	position := int64(0)
	for _, d := range documents {
		if at := d.Fields[fieldSeq].GetIntegerValue(); at < fenceBeyond {
			position = max(position, at)
		}
		if u.isFence(d) {
			continue
		}
		e := decodeLedgerEntry(d)
		if e.Unread != nil {
			return fmt.Errorf("without it no owner can be told: %w", e.Unread)
		}
		entries = append(entries, e)
		if docdb.Missing(d.Fields[fieldFormat]) {
			writes = append(writes, docdb.Write{
				Name: d.Name, Fields: map[string]*docdb.Value{fieldFormat: docdb.Integer(entryFormat)}, Mask: []string{fieldFormat}, If: docdb.AsRead(d),
			})
		}
	}
	u.ledger = ownership.NewLedger(position, entries)
	for len(writes) > 0 {
		n := min(len(writes), docdb.MaxWrites, u.governor.Chunk(docdb.MaxWrites))
		if err := u.governor.Wait(ctx, n); err != nil {
			return unavailable("wait", err)
		}
		if _, err := u.commit(ctx, time.Now().Add(u.commitDeadline), writes[:n]...); err != nil {
			return err
		}
		u.done.Entries += int64(n)
		writes = writes[n:]
	}
	return nil
}

// finish says in the head who may take part, if it does not yet. Nothing may have
// changed the ledger since it was read.
func (u *upgrade) finish(ctx context.Context) error {
	documents, _, err := u.get(ctx, []string{u.headName()})
	if err != nil {
		return err
	}
	head, position := documents[u.headName()], u.ledger.Position()
	if head == nil && !u.over {
		u.o.Tell(fmt.Sprintf("the ledger's head is made anew, at position %d", position))
	} else if before := head.Fields[fieldPosition].GetIntegerValue(); !u.over && before != position {
		return unavailable("finish", errors.New("the ledger has changed meanwhile: stop every process of commit 1571751, and run this again"))
	}
	writes := []docdb.Write{{Name: u.progressName(), Delete: true}}
	if !u.over {
		fields := u.headFields(position)
		fields[fieldEpochAfter] = docdb.Text(head.GetFields()[fieldEpoch].GetStringValue())
		writes = append(writes, docdb.Write{Name: u.headName(), Fields: fields, Mask: append(slices.Clone(headFields), fieldEpochAfter), If: docdb.AsRead(head)})
	}
	if _, err = u.commit(ctx, time.Now().Add(u.commitDeadline), writes...); err == nil {
		u.over = true
	}
	return err
}
