// Package presence has processes say that they run, and of which release they are, so
// that one of them, or an operator, can say which releases run beside each other.
//
// Each writes a document of its own once a minute, and deletes it at its end. That of
// one that was killed expires. Nothing is decided by it: it is for people.
package presence

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Collection is where the documents are. Fields:
//
//	role, version, commit, host  text
//	ledger_epoch, ledger_position  what it holds of the ledger; a process of a release
//	                             that knows no epochs does not say
//	started_at                   by the process's clock
//	seen_at                      by the database's clock, at each write
//	expires_at                   a day after seen_at
//	format                       1
const Collection = "realtime_registry_processes"

const (
	// Every is how often a process says that it runs.
	Every = time.Minute
	// Gone is after how long without a word a process is taken to have ended.
	Gone = 3 * Every

	expiry  = 24 * time.Hour
	patient = 10 * time.Second // with one write
	parting = time.Second      // with the last one, which delays the end of the process
	most    = 1000             // processes that are listed
)

// Process is a process that runs, or did a moment ago.
type Process struct {
	ID      string // unique
	Role    string // what it is for, in words
	Version string
	Commit  string
	Host    string
	Started time.Time
	Seen    time.Time // when it said so last
	Held    *Held     // what it held of the ledger then; nil: its release knows no epochs
}

// Held is a ledger that a process folds with: the zero Held if it knows none yet.
type Held struct {
	Epoch    string
	Position int64
}

// Keep says that the process runs, and what it holds, until ctx ends, and takes it back
// then. That it may not, or that the database is away, is no fault of the process: it is logged at debug
// level.
func Keep(ctx context.Context, db docdb.DB, p Process, holds func() Held, logger *slog.Logger) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	name := db.Name(Collection, p.ID)
	for ctx.Err() == nil {
		err := commit(ctx, db, patient, p.write(name, holds(), time.Now()))
		if status.Code(err) == codes.PermissionDenied {
			logger.Debug("this process may not say that it runs: doctor does not know its release", "error", err)
			return
		}
		if err != nil && ctx.Err() == nil {
			logger.Debug("this process could not say that it runs", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if err := commit(context.WithoutCancel(ctx), db, parting, docdb.Write{Name: name, Delete: true}); err != nil {
		logger.Debug("this process could not say that it has ended", "error", err)
	}
}

func commit(ctx context.Context, db docdb.DB, patience time.Duration, w docdb.Write) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := db.Commit(ctx, w)
	return err
}

func (p Process) write(name string, held Held, now time.Time) docdb.Write {
	return docdb.Write{Name: name, Times: []string{"seen_at"}, Fields: map[string]*docdb.Value{
		"role": docdb.Text(p.Role), "version": docdb.Text(p.Version), "commit": docdb.Text(p.Commit), "host": docdb.Text(p.Host),
		"ledger_epoch": docdb.Text(held.Epoch), "ledger_position": docdb.Integer(held.Position),
		"started_at": docdb.Timestamp(p.Started), "expires_at": docdb.Timestamp(now.Add(expiry)), "format": docdb.Integer(1),
	}}
}

// List returns the processes that run, in the order of their roles, versions and ids.
// Beyond a thousand some are missing.
func List(ctx context.Context, db docdb.DB) ([]Process, error) {
	_, now, err := db.Get(ctx, []string{db.Name(Collection, "now")}) // for the database's time: there is no such document
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	err = db.Query(ctx, docdb.Query{Collection: Collection, Limit: most}, func(d *docdb.Document) error {
		text := func(field string) string { return d.Fields[field].GetStringValue() }
		p := Process{
			ID: d.Name[len(db.Name(Collection, "")):], Role: text("role"), Version: text("version"), Commit: text("commit"), Host: text("host"),
			Started: d.Fields["started_at"].GetTimestampValue().AsTime(), Seen: d.Fields["seen_at"].GetTimestampValue().AsTime(),
		}
		if epoch := d.Fields["ledger_epoch"]; !docdb.Missing(epoch) {
			p.Held = &Held{epoch.GetStringValue(), d.Fields["ledger_position"].GetIntegerValue()}
		}
		if now.Sub(p.Seen) <= Gone {
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	slices.SortFunc(all, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
