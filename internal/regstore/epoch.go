package regstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The head's epoch is random, and made with the head. Positions count the changes of
// one epoch, so that a process which lived through the restore of its database never
// takes a position for another ledger's: Recover gives the head a new epoch, and a
// process that sees it starts anew, with nothing of what it held. A head that an
// earlier release has made has none, which is the epoch "".
//
// An epoch that follows another one, of the same registry, says which. One of a head that
// was made where there was no registry says none, so that a process which knows a
// registry never takes a new one in its place for it, in which nobody owns anything.
//
// A database may be deleted and restored under its name
// (https://firebase.google.com/docs/firestore/restore-in-place), and be used by processes
// before it is recovered. While it is away every call fails with NotFound. To a process
// that was told so, whatever comes afterwards is of another epoch, also if the head says
// the same: it adds to the epoch how often that was.
const (
	fieldEpoch      = "epoch"
	fieldEpochSince = "epoch_since" // when it began, by the database's clock
	fieldEpochAfter = "epoch_after" // the one before it; absent: it is the registry's first
)

func newEpoch() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// point is where the ledger is, as one read of the head says.
type point struct {
	exists    bool   // the head
	epoch     string // that of the ledger
	position  int64
	changedAt time.Time // of the last change's request; zero if the head does not say
}

func (s *Store) pointOf(head *docdb.Document) point {
	f := head.GetFields()
	p := point{
		exists: head != nil, epoch: f[fieldEpoch].GetStringValue(), position: f[fieldPosition].GetIntegerValue(),
		changedAt: timestamp(f[fieldChangedAt]),
	}
	if n := s.gone.Load(); n > 0 {
		p.epoch = fmt.Sprint(p.epoch, sinceGone, n)
	}
	return p
}

// sinceGone stands between an epoch as it is stored and how often the database was gone.
const sinceGone = "+"

// storedEpoch is an epoch as the head has it.
func storedEpoch(epoch string) string {
	stored, _, _ := strings.Cut(epoch, sinceGone)
	return stored
}

// missing takes note of an error of a read: if there is no such database, the next one of
// its name is another.
func (s *Store) missing(err error) {
	if status.Code(err) == codes.NotFound {
		s.gone.Add(1)
	}
}

// known is the newest ledger that this process knows, with what is known of it. It is
// empty if the head is of another epoch by now.
func (s *Store) known() *certifiedLedger {
	c := s.cached.Load()
	if !s.ofThisEpoch(c.Ledger) {
		return &certifiedLedger{}
	}
	return c
}

// ofThisEpoch reports whether a ledger is of the epoch of the head.
func (s *Store) ofThisEpoch(l *ownership.Ledger) bool { return l == nil || s.isEpoch(l.Epoch()) }

// isEpoch reports whether the latest read of the head has found this epoch, or no head.
func (s *Store) isEpoch(epoch string) bool {
	head := s.head.Load()
	return head == nil || !head.exists || head.epoch == epoch
}

// wentBack returns why the head cannot follow a ledger that was known before it was
// read: its position is smaller, or it is the same and stands for another change. So the
// database was restored, and nobody has given it another epoch.
func (s *Store) wentBack(ctx context.Context, base *certifiedLedger, p point) error {
	if base.Ledger == nil || !p.exists || base.Epoch() != p.epoch {
		return nil
	}
	var what string
	switch position := base.Position(); {
	case p.position < position:
		what = fmt.Sprintf("its head was at position %d and is at %d", position, p.position)
	case p.position == position && !base.changedAt.IsZero() && !p.changedAt.IsZero() && !base.changedAt.Equal(p.changedAt):
		what = fmt.Sprintf("its change at position %d was made at %s and now at %s", position,
			base.changedAt.Format(time.RFC3339Nano), p.changedAt.Format(time.RFC3339Nano))
	default:
		return nil
	}
	err := fmt.Errorf("%s: the database has gone back in time: if it was restored, run `registry-worker recover`, after which this process goes on by itself (docs/recovery.md)", what)
	s.telemetry.wentBack.Add(ctx, 1)
	s.telemetry.log.Write(ctx, "", slog.LevelError, "the ledger has gone back: nothing is answered or written", slog.Any("error", err))
	return unavailable("read the ledger", err)
}

// another reports whether a head is of another registry than the one that this process
// knows: it has another epoch, which follows none.
func (s *Store) another(before *headState, head *docdb.Document) bool {
	return before != nil && before.exists && head != nil &&
		docdb.Missing(head.Fields[fieldEpochAfter]) && storedEpoch(s.pointOf(head).epoch) != storedEpoch(before.epoch)
}

func (s *Store) registryIsAnother(before *headState, head *docdb.Document) error {
	return fmt.Errorf("%s: %w: it is of another registry, of epoch %q, and this process knows the one of epoch %q, which this database has lost: that one comes back by docs/recovery.md. If the new one is meant, start this process anew",
		shortName(s.headName()), registry.ErrUnavailable, s.pointOf(head).epoch, before.epoch)
}

// leaves takes note of another epoch: what this process knows of snapshots is of the
// one before. What it holds of the ledger is of no use any more (known).
func (s *Store) leaves(ctx context.Context, before, after *headState) {
	s.snapshotAt.Store(0)
	if own := s.recovering.Load(); own != nil && *own == storedEpoch(after.epoch) {
		return // who recovers it knows
	}
	what := "the registry was recovered"
	if storedEpoch(before.epoch) == storedEpoch(after.epoch) {
		what = "the database was gone"
	}
	s.logger.WarnContext(ctx, what+": this process drops what it holds of it, and reads it anew", "epoch", after.epoch, "epoch_before", before.epoch)
}

// Held returns the epoch and the position of the newest ledger that this process knows,
// for people who look for processes that hold another one than is stored. ok is false
// if it knows none.
func (s *Store) Held() (epoch string, position int64, ok bool) {
	c := s.cached.Load()
	return storedEpoch(c.Epoch()), c.Position(), c.Ledger != nil
}
