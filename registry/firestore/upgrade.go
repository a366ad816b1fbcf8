package firestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
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
// names. A registry that was brought over is looked through, and stays as it is.
// Errors wrap registry.ErrUnavailable.
func Upgrade(ctx context.Context, o Options, u UpgradeOptions) (Upgraded, error) {
	s, err := connect(ctx, o)
	if err != nil {
		return Upgraded{}, err
	}
	defer s.Close()
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
	ledger   *registry.Ledger
	done     Upgraded
	cursor   string // the name of the last document that is done
	saved    time.Time
}

func (u *upgrade) run(ctx context.Context) error {
	over, err := u.fence(ctx)
	if err != nil {
		return err
	}
	if err := u.resume(ctx); err != nil {
		return err
	}
	if err := u.entries(ctx); err != nil {
		return err
	}
	if err := u.documents(ctx); err != nil {
		return err
	}
	return u.finish(ctx, over)
}

// fence makes the fence if there is none, and waits until nothing that was
// under way before can be committed any more. over reports that the registry was
// brought over before.
func (u *upgrade) fence(ctx context.Context) (over bool, err error) {
	documents, now, err := u.batchGet(ctx, []string{u.headName(), u.fenceName()})
	if err != nil {
		return false, err
	}
	head, fence := documents[u.headName()], documents[u.fenceName()]
	if head != nil && !missing(head.Fields[fieldFormat]) {
		if _, err := u.look(ctx, head); err != nil {
			return false, err
		}
		return true, u.mayWrite(ctx)
	}
	if fence == nil {
		position := head.GetFields()[fieldPosition].GetIntegerValue() + 1
		at, err := u.commit(ctx, time.Now().Add(u.commitDeadline), u.bareHead(position, head), u.fenceWrite(position, nil))
		if err != nil {
			return false, err
		}
		u.o.Tell(fmt.Sprintf("the fence stands at position %d of the ledger: what still runs of commit 1571751 fails from now on", position))
		fence, now = &firestorepb.Document{UpdateTime: timestamppb.New(at)}, at
	}
	wait := fence.UpdateTime.AsTime().Add(u.Settling()).Sub(now)
	if wait <= 0 {
		return false, nil
	}
	u.o.Tell(fmt.Sprintf("waiting %s for what may still be under way", wait.Round(time.Second)))
	select {
	case <-ctx.Done():
		return false, unavailable("wait", ctx.Err())
	case <-time.After(wait):
		return false, nil
	}
}

// bareHead raises the position of a head that does not say who may take part.
func (u *upgrade) bareHead(position int64, head *firestorepb.Document) *firestorepb.Write {
	return &firestorepb.Write{
		Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
			Name: u.headName(), Fields: map[string]*firestorepb.Value{fieldPosition: integer(position)},
		}},
		UpdateMask:       ours(head, []string{fieldPosition}),
		UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldChangedAt)},
		CurrentDocument:  asRead(head),
	}
}

// entries gives every entry of the ledger its format.
func (u *upgrade) entries(ctx context.Context) error {
	documents, err := u.queryLedger(ctx, fieldSeq, 0, 0, time.Time{})
	if err != nil {
		return err
	}
	var writes []*firestorepb.Write
	var entries []registry.LedgerEntry
	position := int64(0)
	for _, d := range documents {
		if seq := d.Fields[fieldSeq].GetIntegerValue(); seq < fenceBeyond {
			position = max(position, seq)
		}
		if path.Base(d.Name) == fenceID {
			continue
		}
		e := decodeLedgerEntry(d)
		if e.Unread != nil {
			return fmt.Errorf("without it no owner can be told: %w", e.Unread)
		}
		entries = append(entries, e)
		if missing(d.Fields[fieldFormat]) {
			writes = append(writes, &firestorepb.Write{
				Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
					Name: d.Name, Fields: map[string]*firestorepb.Value{fieldFormat: integer(entryFormat)},
				}},
				UpdateMask:      &firestorepb.DocumentMask{FieldPaths: []string{fieldFormat}},
				CurrentDocument: asRead(d),
			})
		}
	}
	u.ledger = registry.NewLedger(position, entries)
	for len(writes) > 0 {
		n := min(len(writes), maxWrites, u.governor.Chunk(maxWrites))
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

// finish says in the head who may take part. Nothing may have changed the ledger
// since it was read.
func (u *upgrade) finish(ctx context.Context, over bool) error {
	documents, _, err := u.batchGet(ctx, []string{u.headName()})
	if err != nil {
		return err
	}
	head := documents[u.headName()]
	position := head.GetFields()[fieldPosition].GetIntegerValue()
	if !over && position != u.ledger.Seq() {
		return unavailable("finish", errors.New("somebody has changed the ledger meanwhile: stop every process of commit 1571751, and run this again"))
	}
	writes := []*firestorepb.Write{{Operation: &firestorepb.Write_Delete{Delete: u.progressName()}}}
	if !over {
		writes = append(writes, &firestorepb.Write{
			Operation:       &firestorepb.Write_Update{Update: &firestorepb.Document{Name: u.headName(), Fields: u.headFields(position)}},
			UpdateMask:      ours(head, headFields),
			CurrentDocument: asRead(head),
		})
	}
	_, err = u.commit(ctx, time.Now().Add(u.commitDeadline), writes...)
	return err
}

// The document that says how far bringing over is. It has neither seq nor
// pending.
const (
	upgradeID      = "upgrade"
	fieldDocuments = "documents"
	fieldEntries   = "entries"
	fieldClaims    = "claims"
	fieldOwners    = "owners"
	fieldPaths     = "paths"
	fieldUnread    = "unread"
)

func (u *upgrade) progressName() string { return u.document(LedgerCollection, upgradeID) }

// resume goes on behind what an earlier run has done.
func (u *upgrade) resume(ctx context.Context) error {
	documents, _, err := u.batchGet(ctx, []string{u.progressName()})
	if err != nil {
		return err
	}
	d := documents[u.progressName()]
	if d == nil {
		return nil
	}
	if _, err := decodeFormat(d); err != nil {
		return registry.TooNew(LedgerCollection+"/"+upgradeID, err)
	}
	u.cursor = d.Fields[fieldCursor].GetStringValue()
	for field, n := range u.counts() {
		*n = d.Fields[field].GetIntegerValue()
	}
	for _, v := range d.Fields[fieldUnread].GetArrayValue().GetValues() {
		u.done.Unread = append(u.done.Unread, v.GetStringValue())
	}
	u.o.Tell(fmt.Sprintf("going on behind %s, with %d documents looked at", path.Base(u.cursor), u.done.Documents))
	return nil
}

func (u *upgrade) counts() map[string]*int64 {
	return map[string]*int64{
		fieldDocuments: &u.done.Documents, fieldWritten: &u.done.Written, fieldEntries: &u.done.Entries,
		fieldClaims: &u.done.Claims, fieldOwners: &u.done.Owners, fieldPaths: &u.done.Paths,
	}
}

// save notes how far it is, now and then.
func (u *upgrade) save(ctx context.Context) error {
	const every = time.Second
	if time.Since(u.saved) < every {
		return nil
	}
	fields := map[string]*firestorepb.Value{fieldCursor: text(u.cursor), fieldFormat: integer(1)}
	for field, n := range u.counts() {
		fields[field] = integer(*n)
	}
	names := make([]*firestorepb.Value, len(u.done.Unread))
	for i, name := range u.done.Unread {
		names[i] = text(name)
	}
	fields[fieldUnread] = array(names)
	_, err := u.commit(ctx, time.Now().Add(u.commitDeadline), &firestorepb.Write{
		Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: u.progressName(), Fields: fields}},
	})
	u.saved = time.Now()
	return cmp.Or(err, ctx.Err())
}
