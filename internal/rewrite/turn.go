package rewrite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// oldestEvery says that one of so many turns is the oldest change's, so that a large
// tenant comes to its end though small ones never cease to come.
const oldestEvery = 8

// giveWayPause is how often a slot without a turn asks whether it has still to give way.
const giveWayPause = 100 * time.Millisecond

// turn is what a slot does for one job before it chooses again: some two seconds'
// worth of documents at most.
type turn struct {
	job  *job
	part *part // of the pass under way; nil: the next step between passes
	most int   // documents that it visits
	cut  bool  // find another part behind this one, which is at work
}

// slot takes turns until the session is over.
func (s *session) slot() {
	for {
		t, ok := s.await()
		if !ok {
			return
		}
		s.take(t)
	}
}

// await waits for a turn. ok is false when the session is over.
func (s *session) await() (t turn, ok bool) {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.over || s.ctx.Err() != nil {
			s.mu.Unlock()
			return turn{}, false
		}
		t, wait, ok := s.nextLocked(time.Now())
		changed := s.changed
		if ok {
			s.meter.add(1)
			s.mu.Unlock()
			return t, true
		}
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-s.ctx.Done():
		}
	}
}

// nextLocked returns the next turn, if there may be one beside those under way.
func (s *session) nextLocked(now time.Time) (t turn, wait time.Duration, ok bool) {
	givesWay := s.o.GiveWay()
	s.sayLocked(givesWay, now)
	if givesWay && s.meter.working() > 0 {
		return turn{}, giveWayPause, false
	}
	return s.chooseLocked(now)
}

// sayLocked logs that the worker gives way, and that it does not any more.
func (s *session) sayLocked(givesWay bool, now time.Time) {
	if givesWay == s.givesWay || now.Sub(s.saidAt) < logEvery || len(s.jobs) == 0 {
		return
	}
	s.givesWay, s.saidAt = givesWay, now
	if givesWay {
		s.o.Logger.Info("rewriting gives way: events wait, so one turn is taken after the other", "jobs", len(s.jobs))
	} else {
		s.o.Logger.Info("rewriting has all of its slots again", "jobs", len(s.jobs))
	}
}

// chooseLocked returns the next turn: that of the job that had least of the worker
// so far, of equal ones the one whose change is the oldest. So a small job waits
// for a page of each slot at most, however many large ones there are, and these
// share what is left. If there is no turn to give, a part that is at work is cut;
// wait is until something may be done.
func (s *session) chooseLocked(now time.Time) (t turn, wait time.Duration, ok bool) {
	wait = math.MaxInt64
	s.turns++
	var best, cut *job
	for _, j := range s.jobs {
		switch {
		case !j.mayGoOn():
			if best == nil && cut == nil && j.partToCut() != nil {
				cut = j
			}
		case j.notBefore.After(now):
			wait = min(wait, j.notBefore.Sub(now))
		case best == nil || j.served < best.served:
			if best = j; s.turns%oldestEvery == 0 {
				return s.beginLocked(turn{job: j, part: j.idlePart()}), 0, true
			}
		}
	}
	switch {
	case best != nil:
		return s.beginLocked(turn{job: best, part: best.idlePart()}), 0, true
	case cut != nil:
		return s.beginLocked(turn{job: cut, part: cut.partToCut(), cut: true}), 0, true
	}
	s.turns--
	return turn{}, wait, false
}

func (s *session) beginLocked(t turn) turn {
	t.job.busy++
	switch {
	case t.cut:
		t.part.cutting = true
	case t.part != nil:
		t.part.busy, t.most = true, s.turnLimit()
		t.job.served += int64(t.most) // until it is known
	}
	return t
}

// take takes a turn, and ends the job if it is done or has failed.
func (s *session) take(t turn) {
	j := t.job
	visited, err := s.step(t)
	s.mu.Lock()
	j.busy--
	switch {
	case t.cut:
		t.part.cutting = false
	case t.part != nil:
		t.part.busy = false
		j.served += int64(visited - t.most)
	}
	j.passedLocked()
	if err != nil && j.failed == nil {
		j.failed = err
	}
	ends := j.busy == 0 && (j.failed != nil || j.phase == finished)
	s.meter.add(-1)
	s.changedLocked()
	s.mu.Unlock()
	if ends {
		s.end(j)
	}
}

// step does what a turn is for, and returns how many documents were visited.
func (s *session) step(t turn) (visited int, err error) {
	defer recovered(&err)
	switch {
	case t.cut:
		return 0, s.cut(t.job, t.part)
	case t.part != nil:
		return s.page(t.job, t.part, t.most)
	}
	return 0, s.between(t.job)
}

// end takes a job out of hand that is done, or that has failed: then it is stored
// when it is tried again, and others go first.
func (s *session) end(j *job) {
	err := j.failed
	outcome := outcome(s.ctx, err)
	switch outcome {
	case interrupted:
		return // the session releases it
	case done, leaseLost:
	case tooNew:
		j.stored.Entry.Rewriting.State = ownership.RewritingQueued
		if saveErr := s.save(j); saveErr != nil {
			j.logger.Warn("how far the rewriting is was not stored", "error", saveErr)
		}
		s.mu.Lock()
		again := s.passing.over(j.stored.Entry.Position, time.Now())
		s.mu.Unlock()
		j.logger.Error("the rewriting for a move met what this version does not understand: it waits for a release that does, and others go first",
			"error", err, "again_in", again)
	default:
		if errors.Is(err, errNotSaved) { // nor could it be stored that the job failed
			s.cancel(err)
			break
		}
		if s.fail(j, err) {
			outcome = parked
		}
	}
	s.telemetry.ended(outcome, j.stored)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(j)
	if err != nil && s.failed == nil && outcome != leaseLost {
		s.failed = fmt.Errorf("%w: %w", errPassedOver, err)
	}
	s.changedLocked()
}

// fail stores that a job failed, and reports whether it is parked.
func (s *session) fail(j *job, why error) (isParked bool) {
	s.mu.Lock()
	progress := &j.stored.Entry.Rewriting
	j.markLocked()
	*progress = progress.FailedAt(s.nowLocked(), why.Error(), progress.Cursor != j.from.Cursor || progress.Last != j.from.Last)
	failed := *progress
	s.mu.Unlock()
	log, text := j.logger.Warn, "the rewriting for a move failed; it is tried again, and others go first"
	if failed.Parked() {
		log, text = j.logger.Error, "the rewriting for a move is parked: find out why, then `moves resume` takes it up"
	}
	log(text, "error", why, "stack", stack(why), "tries", failed.Tries, "again_at", failed.RetryAt)
	if err := s.save(j); err != nil {
		j.logger.Warn("that it failed could not be stored", "error", err)
		if !errors.Is(err, ownership.ErrLeaseLost) {
			s.cancel(err)
		}
	}
	return failed.Parked()
}

// errNotSaved: it is not known whether the progress was stored.
var errNotSaved = errors.New("save the progress of the rewriting")

// save stores how far a job is. A job is saved by one at a time: the turn that has
// it, or has claimed the saving of it.
func (s *session) save(j *job) (err error) {
	defer recovered(&err)
	s.mu.Lock()
	j.markLocked()
	job := j.stored
	job.Now = s.nowLocked()
	j.unsaved = false
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.commits, callTimeout)
	defer cancel()
	saved, err := s.store.SaveJob(ctx, job)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.saving = false
	if err != nil {
		j.unsaved = true
		return fmt.Errorf("%w: %w", errNotSaved, err)
	}
	j.stored.Now, j.stored.Revision = saved.Now, saved.Revision
	j.saved, j.running = time.Now(), job.Entry.Rewriting.State == ownership.RewritingRunning
	return nil
}

// saveIsDue reports whether the turn that asks is to store how far the job is.
func (s *session) saveIsDue(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.saving || !j.unsaved || time.Since(j.saved) < min(saveEvery, s.o.Lease/3) {
		return false
	}
	j.saving = true
	return true
}
