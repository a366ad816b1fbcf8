package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const (
	callTimeout = 30 * time.Second // a connection that died in silence is no reason to stand still
	// window is how many jobs are in hand at most; those behind them wait.
	window = 10_000
	// wholeEvery is how often all pending jobs are looked at: some were to be tried
	// later, or are resumed. In between only what is new is looked for.
	wholeEvery = time.Minute
)

// session is what a worker does as long as it has the lease.
type session struct {
	*Worker
	ctx      context.Context // ends with the worker's, or with the lease
	cancel   context.CancelCauseFunc
	commits  context.Context // of all that writes: a commit under way is not cut off when the worker ends
	governor *governor.Governor

	mu       sync.Mutex
	lease    ownership.Lease
	sent     time.Time     // when the lease was last asked for, with success, by this process's clock
	learned  time.Time     // when lease.Now was
	jobs     []*job        // in hand, by position
	seen     int64         // the greatest position of a job that was found
	turns    int           // that were taken
	changed  chan struct{} // is closed when something has changed
	over     bool          // nothing is left to do
	failed   error         // of the first job that failed
	meter    meter
	givesWay bool      // as was logged last
	saidAt   time.Time // when that was
}

// open takes the lease, and goes on from the pace that its last holder had.
func (w *Worker) open(ctx context.Context) (*session, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	before, err := w.store.Lease(call)
	if err != nil {
		return nil, err
	}
	s := &session{Worker: w, sent: time.Now(), changed: make(chan struct{})}
	s.lease, err = w.store.TakeLease(call, ownership.Lease{Holder: w.o.Holder, For: w.o.Lease, Pace: before.Pace})
	if err != nil {
		return nil, err
	}
	s.learned = time.Now()
	pace := before.Pace
	s.governor = governor.Resume(w.o.Rate, governor.Pace{PerSecond: pace.PerSecond, Done: pace.Done, Elapsed: pace.Elapsed}, s.lease.Now.Sub(before.Now))
	s.meter.slots = w.o.AtOnce
	return s, nil
}

// run does jobs until none is left that may be done now.
func (s *session) run(ctx context.Context) error {
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	commits, cancel := outlasting(ctx, s.o.Drain)
	defer cancel()
	s.commits = commits

	var group sync.WaitGroup
	for range s.o.AtOnce {
		group.Go(s.slot)
	}
	renewing, end := context.WithCancel(s.ctx)
	renewed := make(chan struct{})
	go func() { defer close(renewed); s.renew(renewing) }()
	if err := s.lookAround(); err != nil {
		s.cancel(err)
	}
	s.finish()
	group.Wait()
	end()
	<-renewed
	if err := context.Cause(s.ctx); errors.Is(err, ownership.ErrLeaseLost) {
		s.abandon()
		return err
	}
	s.release(ctx)
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.failed
}

// finish has the slots return.
func (s *session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.changedLocked()
}

func (s *session) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// lookAround takes jobs in hand until none is left.
func (s *session) lookAround() error {
	whole, after := time.Now(), int64(0)
	for {
		found, err := s.look(after)
		if err != nil {
			return err
		}
		if !found && after == 0 && s.idle() {
			return nil
		}
		if err := s.awaitIdle(s.o.Poll); err != nil {
			return err
		}
		s.mu.Lock()
		after = s.seen
		s.mu.Unlock()
		if s.idle() || time.Since(whole) >= wholeEvery {
			whole, after = time.Now(), 0
		}
	}
}

// look takes the jobs in hand whose change is behind a position, and reports whether
// there were any.
func (s *session) look(after int64) (found bool, err error) {
	defer recovered(&err)
	s.mu.Lock()
	room := window - len(s.jobs)
	except := s.passing.positions(time.Now())
	for _, j := range s.jobs {
		except[j.stored.Entry.Position] = true
	}
	s.mu.Unlock()
	if room <= 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	jobs, err := s.store.Jobs(ctx, after, room, func(position int64) bool { return except[position] })
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		s.jobs = append(s.jobs, s.newJob(j))
		s.seen = max(s.seen, j.Entry.Position)
	}
	slices.SortFunc(s.jobs, byPosition)
	s.changedLocked()
	return len(jobs) > 0, nil
}

func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs) == 0
}

// awaitIdle waits until no job is in hand, for so long at most. The error is that of
// the session.
func (s *session) awaitIdle(most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		s.mu.Lock()
		idle, changed := len(s.jobs) == 0, s.changed
		s.mu.Unlock()
		if idle {
			return context.Cause(s.ctx)
		}
		select {
		case <-changed:
		case <-timer.C:
			return context.Cause(s.ctx)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// renew renews the lease after each third of it. If it cannot, the session ends
// before the lease does.
func (s *session) renew(ctx context.Context) {
	pause := s.o.Lease / 3
	for sleep(ctx, pause) == nil {
		bounded, cancel := context.WithTimeout(ctx, s.leaseLeft())
		err := s.takeLease(bounded, s.o.Lease)
		cancel()
		pause = s.o.Lease / 3
		if err == nil || ctx.Err() != nil {
			continue
		}
		pause = min(time.Second, pause)
		if errors.Is(err, ownership.ErrLeaseHeld) || s.leaseLeft() <= pause {
			s.cancel(fmt.Errorf("%w: %w", ownership.ErrLeaseLost, err))
		}
	}
}

// leaseLeft is for how long the lease is surely this worker's.
func (s *session) leaseLeft() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Lease - time.Since(s.sent)
}

// takeLease renews the lease, with the pace of now; for no time it releases it.
func (s *session) takeLease(ctx context.Context, d time.Duration) (err error) {
	defer recovered(&err)
	ctx, cancel := context.WithTimeout(ctx, min(callTimeout, s.o.Lease/3))
	defer cancel()
	at := s.governor.Pace()
	s.mu.Lock()
	lease := s.lease
	s.mu.Unlock()
	lease.For = d
	lease.Pace.PerSecond, lease.Pace.Done, lease.Pace.Elapsed = at.PerSecond, at.Done, at.Elapsed
	if had := s.meter.had(); had > 0 {
		lease.Pace.Had, lease.Pace.HadAt, lease.Pace.Governed = had, s.now(), had >= governed*at.PerSecond
	}
	sent := time.Now()
	taken, err := s.store.TakeLease(ctx, lease)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease, s.sent, s.learned = taken, sent, time.Now()
	return nil
}

// now is the store's time, carried on by this process's clock.
func (s *session) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nowLocked()
}

func (s *session) nowLocked() time.Time { return s.lease.Now.Add(time.Since(s.learned)) }

// release stores how far the jobs in hand are, and lets another worker go on at once.
func (s *session) release(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(s.o.AtOnce)
	for _, j := range s.jobs {
		if j.phase == beginning || errors.Is(j.failed, errNotSaved) {
			continue
		}
		group.Go(func() error {
			defer s.telemetry.ended(interrupted, j.stored)
			if !j.unsaved && !j.running {
				return nil
			}
			j.stored.Entry.Rewriting.State = ownership.RewritingQueued
			if err := s.save(j); err != nil {
				j.logger.Warn("how far the rewriting is was not stored; another worker takes it up from where it was", "error", err)
			} else if ctx.Err() != nil {
				j.logger.Info("rewriting is interrupted; another worker takes it up")
			}
			return nil
		})
	}
	_ = group.Wait()
	s.telemetry.at(0)
	if err := s.takeLease(s.commits, 0); err != nil {
		s.o.Logger.Warn("the lease of rewriting was not given back; another worker has it when it has run out", "error", err)
	}
}

// abandon leaves the jobs in hand to the worker that has the lease.
func (s *session) abandon() {
	for _, j := range s.jobs {
		if j.phase != beginning {
			s.telemetry.ended(leaseLost, j.stored)
		}
	}
	s.telemetry.at(0)
}
