package quota

import (
	"context"
	"fmt"
	"sync"
)

// Close releases the blocks that this process holds, so that others may spend
// them, and returns when that is done or ctx ends. The error then says how many
// units stay reserved until their windows end; nothing worse follows from it.
// Requests that need the store get ErrUnavailable from then on. After a Close
// without error no goroutine of the limiter runs. A second Close does nothing.
func (l *Limiter) Close(ctx context.Context) error {
	if l.closed.Swap(true) {
		return nil
	}
	l.stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.background.Wait()
		l.land()
		l.releaseAll(ctx)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	units, err := l.held(), ctx.Err()
	if err == nil && units > 0 {
		err = l.budget.refusal()
	}
	if err != nil {
		return fmt.Errorf("close throttle: %d units not released: %w", units, err)
	}
	return nil
}

// land lets no more flights begin, and waits for those in progress.
func (l *Limiter) land() {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	l.underWay.Wait()
}

// releaseAll releases every block, many at a time, until ctx ends.
func (l *Limiter) releaseAll(ctx context.Context) {
	type place struct {
		s *shard
		e *entry
	}
	places := make(chan place)
	var workers sync.WaitGroup
	for range maxReleasing {
		workers.Go(func() {
			for p := range places {
				p.s.mu.Lock()
				f := l.boardLocked(p.s, p.e, &flight{releasing: true})
				p.s.mu.Unlock()
				l.fly(p.s, p.e, f)
			}
		})
	}
	for i := range l.table.shards {
		s := &l.table.shards[i]
		for _, e := range l.holders(s) {
			select {
			case places <- place{s, e}:
			case <-ctx.Done():
			}
		}
	}
	close(places)
	workers.Wait()
}

// holders returns the entries of a shard whose blocks can still be spent.
func (l *Limiter) holders(s *shard) (holders []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.clock()
	for e := range entries(s.buckets) {
		if e.has(now, 1) {
			holders = append(holders, e)
		}
	}
	return holders
}

// held returns how many units of blocks can still be spent.
func (l *Limiter) held() (units int64) {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		now := l.clock()
		for e := range entries(s.buckets) {
			if e.has(now, 1) {
				units += int64(e.left)
			}
		}
		s.mu.Unlock()
	}
	return units
}
