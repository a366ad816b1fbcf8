package regstore

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

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

func (u *upgrade) progressName() string { return u.db.Name(LedgerCollection, upgradeID) }

// resume goes on behind what an earlier run has done.
func (u *upgrade) resume(ctx context.Context) error {
	documents, _, err := u.get(ctx, []string{u.progressName()})
	if err != nil {
		return err
	}
	d := documents[u.progressName()]
	if d == nil {
		return nil
	}
	if _, err := decodeFormat(d); err != nil {
		return ownership.TooNew(shortName(d.Name), err)
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
	fields := map[string]*docdb.Value{fieldCursor: docdb.Text(u.cursor), fieldFormat: docdb.Integer(1)}
	for field, n := range u.counts() {
		fields[field] = docdb.Integer(*n)
	}
	fields[fieldUnread] = docdb.Texts(u.done.Unread)
	_, err := u.commit(ctx, time.Now().Add(u.commitDeadline), docdb.Write{Name: u.progressName(), Fields: fields})
	u.saved = time.Now()
	return cmp.Or(err, ctx.Err())
}
