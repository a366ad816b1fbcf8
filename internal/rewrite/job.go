package rewrite

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const (
	saveEvery = 2 * time.Second // how much a kill can undo
	logEvery  = 10 * time.Second
)

// phase is how far a job is.
type phase int

const (
	beginning phase = iota // nothing was done in this session
	firstPass
	waiting // until every writer knows of the change
	lastPass
	finished
)

// job is one that is in hand. The session's lock guards it, except while a turn has it
// between passes.
type job struct {
	stored    ownership.Job       // as it was saved, and how far it has come since
	from      ownership.Rewriting // as it was taken in hand
	phase     phase
	parts     []*part // that the pass under way has still to visit, in order
	tail      string  // the last document of the parts that are done
	busy      int     // turns at work
	served    int64   // documents that were visited for it in this session
	notBefore time.Time
	unread    error // of documents that the last pass had to leave alone
	failed    error

	saving, unsaved bool
	running         bool // is stored as such
	saved, logged   time.Time
	logger          *slog.Logger
}

func byPosition(a, b *job) int { return cmp.Compare(a.stored.Entry.Position, b.stored.Entry.Position) }

func (s *session) newJob(j ownership.Job) *job {
	e := j.Entry
	said := sayer(e)
	return &job{stored: j, from: e.Rewriting, saved: time.Now(), logged: time.Now(), running: e.Rewriting.State == ownership.RewritingRunning,
		logger: s.o.Logger.With("move", e.ID, "source", e.Source, "from", e.From, "to", e.To, "retracted", e.Retracted(),
			"by", said.By, "reason", said.Why)}
}

// sayer returns who wanted the change that a job follows, and why.
func sayer(e ownership.LedgerEntry) ownership.Said {
	if e.Retracted() {
		return e.Retractions[0]
	}
	return ownership.Said{By: e.Actor, Why: e.Reason}
}

func (s *session) dropLocked(j *job) {
	s.jobs = slices.DeleteFunc(s.jobs, func(other *job) bool { return other == j })
	s.telemetry.at(s.leftLocked())
}

// leftLocked is how many documents the passes under way have still to visit.
func (s *session) leftLocked() (n int64) {
	for _, j := range s.jobs {
		if j.phase == firstPass || j.phase == lastPass {
			r := &j.stored.Entry.Rewriting
			n += max(0, r.Total-r.Passed)
		}
	}
	return n
}

// mayGoOn reports whether there is a turn to take for the job.
func (j *job) mayGoOn() bool {
	return j.failed == nil && j.phase != finished && (j.idlePart() != nil || j.busy == 0 && len(j.parts) == 0)
}

// between does what is to be done between passes. No other turn has the job.
func (s *session) between(j *job) error {
	switch j.phase {
	case beginning:
		s.begin(j)
	case firstPass:
		return s.endFirst(j)
	case waiting:
		s.beginLast(j)
	case lastPass:
		return s.complete(j)
	}
	return nil
}

// begin counts what is affected, unless that was done before. The count is for
// display, and for whether a first pass fits: a job is done without it too.
func (s *session) begin(j *job) {
	progress := &j.stored.Entry.Rewriting
	*progress = progress.TakenUp(s.o.Holder, s.now(), j.stored.Revision)
	taken := progress.Total != 0 || progress.Cursor != ""
	if !taken {
		total, err := s.count(progress.Tenants)
		if err != nil {
			j.logger.Warn("rewriting begins; how many documents there are is not known", "error", err)
		} else {
			progress.Total = total
			j.logger.Info("rewriting begins", "documents", total, "at_least", (s.duration(total) + s.untilHorizon(j)).Round(time.Millisecond))
		}
	} else {
		j.logger.Info("rewriting is taken up", "documents", progress.Total, "passed", progress.Passed, "last_pass", progress.Last)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch wait := s.untilHorizonLocked(j); {
	case progress.Last:
		j.phase, j.parts = lastPass, partsOf(progress.Left())
	case progress.Total > 0 && wait > 0 && s.duration(s.leftLocked()+progress.Total) <= wait: // a first pass fits
		j.phase, j.parts = firstPass, partsOf([]ownership.Range{{After: progress.Cursor}})
	default:
		j.phase, j.notBefore = waiting, time.Now().Add(wait)
	}
}

func (s *session) count(tenants []string) (int64, error) {
	ctx, cancel := context.WithTimeout(s.ctx, min(callTimeout, s.o.Lease/3))
	defer cancel()
	return s.store.CountAffected(ctx, tenants)
}

// duration is how long n documents take, at least, at the pace of now.
func (s *session) duration(n int64) time.Duration {
	return s.o.Rate.DurationFrom(s.governor.Pace(), math.Inf(1), n)
}

// endFirst ends the first pass: the last one begins when everybody knows of the change.
func (s *session) endFirst(j *job) error {
	s.mu.Lock()
	j.markLocked()
	j.phase, j.notBefore = waiting, time.Now().Add(s.untilHorizonLocked(j))
	s.mu.Unlock()
	return s.save(j)
}

// untilHorizon is how long there may still be writers that do not know of the
// change.
func (s *session) untilHorizon(j *job) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.untilHorizonLocked(j)
}

func (s *session) untilHorizonLocked(j *job) time.Duration {
	return max(0, j.stored.Entry.Rewriting.CommittedAt.Add(s.store.WriterHorizon()).Sub(s.nowLocked()))
}

// beginLast begins the last pass, if everybody knows of the change.
func (s *session) beginLast(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.untilHorizonLocked(j)
	if left > 0 {
		j.notBefore = time.Now().Add(left)
		return
	}
	progress := &j.stored.Entry.Rewriting
	progress.Last, progress.Cursor, progress.Ranges, progress.Passed = true, "", nil, 0
	j.phase, j.parts, j.tail = lastPass, partsOf(progress.Left()), ""
	j.unread = nil // what the first pass left may be read by now
}

// complete ends a job whose last pass has visited everything.
func (s *session) complete(j *job) error {
	s.mu.Lock()
	progress := &j.stored.Entry.Rewriting
	if j.unread != nil {
		j.tail, progress.Passed = "", 0 // it begins anew, for who understands them
		s.mu.Unlock()
		return j.unread
	}
	progress.State = ownership.RewritingDone
	s.mu.Unlock()
	if err := s.save(j); err != nil {
		return err
	}
	j.logger.Info("rewriting has ended", "documents", progress.Total, "read", progress.Read, "written", progress.Written,
		"after", j.stored.Now.Sub(progress.CommittedAt).Round(time.Millisecond))
	s.mu.Lock()
	defer s.mu.Unlock()
	j.phase = finished
	return nil
}
