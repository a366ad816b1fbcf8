package regstore

import (
	"context"
	"log/slog"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// tombstone is the write of a resource that was deleted. It replaces the whole
// document: fields of others may name the tenant, or people. tenant_id is there, and
// null: of Python's readers some fail without the field, and none takes null for a
// tenant (design §3).
func (s *Store) tombstone(r registry.Resource, u ownership.Update, on docdb.Condition) docdb.Write {
	return docdb.Write{
		Name: s.resourceName(r),
		Fields: map[string]*docdb.Value{
			fieldTenantID:  docdb.Null(),
			fieldHistory:   encodeEntries(u.History),
			fieldFormat:    docdb.Integer(u.Format),
			fieldExpiresAt: s.horizon(),
		},
		If: on,
	}
}

// horizon is when a document expires that is written now, and that nobody owns any
// more.
func (s *Store) horizon() *docdb.Value { return docdb.Timestamp(time.Now().Add(s.deletionHorizon)) }

// setPastTombstone notices a tombstone to which another program has given a tenant,
// by a set that left our fields alone. The registry's answers stay as they are, and
// the next delivery of any event of the resource removes the tenant again. (A plain
// set leaves nothing of the tombstone, so there is nothing to notice.)
func (s *Store) setPastTombstone(ctx context.Context, r ownership.Record) {
	if !r.History.Deleted() || r.TenantID == "" {
		return
	}
	s.telemetry.tombstonesSet.Add(ctx, 1)
	s.telemetry.log.Write(ctx, "", slog.LevelError, "a program gave a deleted resource a tenant, which has no effect",
		slog.String("document", r.Document), slog.Time("written", r.UpdateTime))
}
