package quota

import (
	"context"
	"fmt"
	"sync"
)

// Close gives the blocks back that are held, so that other processes may spend
// them, and returns when that is done or ctx ends. Then the error says how many
// units stay out until their windows end; nothing worse follows from it.
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
		l.returnAll(ctx)
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
		return fmt.Errorf("close throttle: %d units not given back: %w", units, err)
	}
	return nil
}

// land lets no flight begin any more, and waits for those under way.
func (l *Limiter) land() {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	l.underWay.Wait()
}

// returnAll gives every block back, many at a time, until ctx ends.
func (l *Limiter) returnAll(ctx context.Context) {
	type place struct {
		s *shard
		e *entry
	}
	places := make(chan place)
	var workers sync.WaitGroup
	for range maxReturning {
		workers.Go(func() {
			for p := range places {
				p.s.mu.Lock()
				f := l.board(p.s, p.e, &flight{returning: true})
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

// holders returns the entries of a shard that have a block to give back.
func (l *Limiter) holders(s *shard) (holders []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.entries() {
		if l.holds(e) > 0 {
			holders = append(holders, e)
		}
	}
	return holders
}

// holds is the units of an entry that can still be spent. The caller holds the
// shard's lock.
func (l *Limiter) holds(e *entry) int64 {
	b := e.current()
	if l.clock() >= b.deadline {
		return 0
	}
	return int64(b.left)
}

// held is the units of blocks that can still be spent.
func (l *Limiter) held() (units int64) {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		for e := range s.entries() {
			units += l.holds(e)
		}
		s.mu.Unlock()
	}
	return units
}
