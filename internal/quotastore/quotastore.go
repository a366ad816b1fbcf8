// Package quotastore keeps throttle windows in a document database (internal/docdb).
// It has the one quota.Store. Packages fsquota and memquota open it, each over its
// database.
//
// Documents:
//
//	rate_limit_counters/{tenant}__{action}   a window: last_reset and count, which the Python service
//	                                         reads and writes (design §3); length, limit, generation,
//	                                         expires_at, sharing, reset_by and reset_at, which are ours
//	rate_limit_counters/{tenant}__{action}.7 a part of that window, with a limit of its own
//	rate_limit_policies/{any name}           a policy: tenant, action, limit, window, shadow; written by people
//	rate_limit_resets/{tenant}__{action}     the last reset by an operator: generation, expires_at
//
// A Load is one document read, a Save one document write, an announced Save one
// read and two writes. A Watch reads every policy and every reset once at its
// start, and then each that changes.
package quotastore

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// The names of collections. The first is fixed (design §3).
const (
	Collection       = "rate_limit_counters"
	PolicyCollection = limits.PolicyCollection
	ResetCollection  = "rate_limit_resets"
)

// Options make a store.
type Options struct {
	MeterProvider metric.MeterProvider // nil: no metrics
	Logger        *slog.Logger         // nil: silence
}

// Store is a quota.Store.
type Store struct {
	db     docdb.DB
	logger *slog.Logger
	tooNew *observe.Counter
	unread *observe.LimitedLog
}

var _ limits.Store = (*Store)(nil)

const scope = "github.com/northstar-engines/realtime-registry/quota/fsquota"

// New makes a store, which closes the database with itself. It asks nothing of it
// yet.
func New(db docdb.DB, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	i := observe.Providers{MeterProvider: o.MeterProvider}.Instruments(scope)
	return &Store{
		db: db, logger: o.Logger,
		tooNew: i.Counter("quota.too_new", "{item}", "How often a window or a reset was met that this version does not understand."),
		unread: observe.NewLimitedLog(o.Logger, .1, 10),
	}, i.Err()
}

// Ping proves that the database answers. Errors wrap limits.ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error {
	_, _, err := s.get(ctx, s.db.Name(PolicyCollection, "open"))
	return err
}

// Close implements quota.Store.
func (s *Store) Close() error { return s.db.Close() }

// Load implements quota.Store.
func (s *Store) Load(ctx context.Context, key limits.Key) (limits.Snapshot, error) {
	d, at, err := s.get(ctx, s.counter(key))
	switch {
	case err != nil:
		return limits.Snapshot{}, fmt.Errorf("load %s: %w", key, err)
	case d == nil:
		return limits.Snapshot{Version: limits.Absent, ReadTime: at}, nil
	}
	fields := d.GetFields()
	return limits.Snapshot{
		Window: decode(fields), Version: version(d.GetUpdateTime().AsTime()), ReadTime: at, Reset: decodeReset(fields),
	}, nil
}

// Save implements quota.Store.
func (s *Store) Save(ctx context.Context, key limits.Key, c limits.Change) (limits.Receipt, error) {
	writes := []docdb.Write{{Name: s.counter(key), Fields: encode(c), Mask: replaced(c), If: since(c.Since)}}
	if c.ResetBy != "" {
		name := s.db.Name(ResetCollection, key.DocumentID())
		before, _, err := s.get(ctx, name)
		if err != nil {
			return limits.Receipt{}, fmt.Errorf("save %s: %w", key, err)
		}
		writes = append(writes, docdb.Write{Name: name, Fields: notice(c), Mask: noticeFields, If: asRead(before)})
	}
	// A lost race may be the answer, too, if the document is gone, or if there is no
	// such database: the Load that follows tells. Aborted is a document that is
	// written too often, or by many at once, and rolled back:
	// https://cloud.google.com/firestore/docs/understand-error-codes.
	receipt, err := s.db.Commit(ctx, writes...)
	switch {
	case err == nil:
		return limits.Receipt{Version: version(receipt.Updated[0]), CommitTime: receipt.At}, nil
	case docdb.LostTheRace(err):
		return limits.Receipt{}, fmt.Errorf("save %s: %w: %w", key, limits.ErrConflict, err)
	}
	return limits.Receipt{}, fmt.Errorf("save %s: %w", key, unavailable(err))
}

// get reads one document, nil if there is none. What is not understood is an
// error.
func (s *Store) get(ctx context.Context, name string) (*docdb.Document, time.Time, error) {
	found, at, err := s.db.Get(ctx, []string{name})
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	return found[name], at, s.understood(ctx, found[name])
}

// understood returns why a document is not understood, and tells of it; nil if it
// is, or if there is none.
func (s *Store) understood(ctx context.Context, d *docdb.Document) error {
	err := understood(d)
	if err != nil {
		s.tooNew.Add(ctx, 1)
		s.unread.Write(ctx, "", slog.LevelError, "a throttle window is not understood, and left alone", slog.Any("error", err))
	}
	return err
}

func (s *Store) counter(key limits.Key) string { return s.db.Name(Collection, key.DocumentID()) }

// A version is an update time.
func version(t time.Time) limits.Version { return limits.Version(t.UnixNano()) }

func since(v limits.Version) docdb.Condition {
	if v == limits.Absent {
		return docdb.Absent
	}
	return docdb.Condition{Updated: time.Unix(0, int64(v))}
}

// asRead is the condition that a document is as it was read, nil if it was not
// there: what has come since may be of a later release.
func asRead(d *docdb.Document) docdb.Condition {
	if d == nil {
		return docdb.Absent
	}
	return docdb.Condition{Updated: d.GetUpdateTime().AsTime()}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", limits.ErrUnavailable, err) }
