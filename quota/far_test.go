package quota_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

// far is a store that is some way off, and whose documents take writes as those of
// emulator/wire/rules do: 20 at once and five a second for long, those that will
// fail among them until they have. More wait, and are aborted if that takes longer
// than two seconds. It answers so many calls a
// second, one after another; 0: any number.
type far struct {
	*memquota.Store
	away    time.Duration // a call, there and back
	answers int
	began   time.Time

	mu    sync.Mutex
	heats map[string]*heat
	free  time.Time   // when it can begin with the next call
	calls map[int]int // by second
	loads atomic.Int64
}

type heat struct {
	spent    float64
	at       time.Time
	written  int
	attempts int
	tries    map[int]int // by second
}

const (
	roundTrip = 20 * time.Millisecond
	serving   = time.Millisecond // a write, once it is its turn
)

func newFar(away time.Duration, answers int) *far {
	return &far{Store: memquota.New(), away: away, answers: answers, began: time.Now(), heats: map[string]*heat{}, calls: map[int]int{}}
}

// arrive takes a call there, and waits until it is its turn.
func (f *far) arrive() {
	time.Sleep(f.away / 2)
	f.mu.Lock()
	now := time.Now()
	f.calls[int(now.Sub(f.began)/time.Second)]++
	if f.answers == 0 {
		f.mu.Unlock()
		return
	}
	f.free = now.Add(max(0, f.free.Sub(now)) + time.Second/time.Duration(f.answers))
	turn := f.free.Sub(now)
	f.mu.Unlock()
	time.Sleep(turn)
}

func (f *far) Load(ctx context.Context, key limits.Key) (limits.Snapshot, error) {
	f.loads.Add(1)
	f.arrive()
	s, err := f.Store.Load(ctx, key)
	time.Sleep(f.away / 2)
	return s, err
}

func (f *far) Save(ctx context.Context, key limits.Key, c limits.Change) (limits.Receipt, error) {
	f.arrive()
	defer time.Sleep(f.away / 2)
	turn, late := f.reserve(key)
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		f.done(key, false)
		return limits.Receipt{}, fmt.Errorf("save: %w: %w", quota.ErrUnavailable, status.FromContextError(ctx.Err()).Err())
	}
	if late {
		return limits.Receipt{}, fmt.Errorf("save: %w: aborted", limits.ErrConflict)
	}
	time.Sleep(serving)
	r, err := f.Store.Save(ctx, key, c)
	f.done(key, err == nil)
	return r, err
}

func (f *far) reserve(key limits.Key) (turn time.Duration, late bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.heats[key.DocumentID()]
	if h == nil {
		h = &heat{at: time.Now(), tries: map[int]int{}}
		f.heats[key.DocumentID()] = h
	}
	h.attempts++
	h.tries[int(time.Since(f.began)/time.Second)]++
	h.spent = max(0, h.spent-5*time.Since(h.at).Seconds())
	h.at = time.Now()
	turn = time.Duration((h.spent + 1 - 20) / 5 * float64(time.Second))
	if turn > 2*time.Second {
		return 2 * time.Second, true
	}
	h.spent++
	return max(0, turn), false
}

func (f *far) done(key limits.Key, written bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.heats[key.DocumentID()]
	if written {
		h.written++
	} else {
		h.spent--
	}
}
