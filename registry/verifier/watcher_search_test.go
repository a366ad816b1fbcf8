package verifier_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// timeline is who owned what, and from when.
type timeline struct {
	mu     sync.Mutex
	owners map[registry.Resource][]since
}

type since struct {
	at    time.Time
	owner string
}

// owned reports whether the tenant owned the resource at some time from then on. A
// change of that very moment counts as one after it: a certificate as of a moment
// speaks of what was committed before.
func (l *timeline) owned(o verifier.Ownership, from time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.owners[o.Resource]
	for i, s := range line {
		if s.owner == o.TenantID && (i == len(line)-1 || !line[i+1].at.Before(from)) {
			return true
		}
	}
	return false
}

// lost reports whether the tenant did not own the resource at some time from then on.
func (l *timeline) lost(o verifier.Ownership, from time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.owners[o.Resource]
	for i, s := range line {
		if s.owner != o.TenantID && (i == len(line)-1 || !line[i+1].at.Before(from)) {
			return true
		}
	}
	return false
}

// look writes down who owns what now.
func (l *timeline) look(t *testing.T, store *feedStore, all []registry.Resource) {
	snapshot, err := store.Store.Read(t.Context(), all)
	require.NoError(t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range all {
		owner, err := snapshot.Records[i].Owner(snapshot.Ledger)
		require.NoError(t, err)
		if line := l.owners[r]; len(line) == 0 || line[len(line)-1].owner != owner {
			l.owners[r] = append(line, since{time.Now(), owner})
		}
	}
}

// search moves and retracts while the feed and the reads are slow, fail, hang and
// miss, and holds what three Watchers tell against what was true.
func search(t *testing.T, random *rand.Rand, omit bool) (wrong int) {
	synctest.Test(t, func(t *testing.T) {
		store := newFeedStore()
		store.listen = random.IntN(2) == 0
		tenants := []string{"t_a", "t_b", "t_c"}
		var all []registry.Resource
		for i := range 6 {
			all = append(all, thread(fmt.Sprintf("th_%d", i)))
			createAt(t, store, time.Now(), fmt.Sprint("c", i), tenants[random.IntN(3)], all[i])
		}
		truth := &timeline{owners: map[registry.Resource][]since{}}
		truth.look(t, store, all)
		var mu sync.Mutex
		roll := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(n)
		}
		fault := func(ctx context.Context) error {
			switch roll(12) {
			case 0:
				return registry.ErrUnavailable
			case 1:
				pause(ctx, time.Duration(roll(6000))*time.Millisecond)
				return ctx.Err()
			}
			pause(ctx, time.Duration(roll(400))*time.Millisecond)
			return ctx.Err()
		}
		store.setGate(func(ctx context.Context, _ []registry.Resource) error { return fault(ctx) })
		v := keeping(t, store, verifier.Options{CacheEntries: 1 + random.IntN(8)})
		store.mu.Lock()
		store.feed = fault
		store.alter = func(b ownership.FeedBatch) ownership.FeedBatch {
			b.Missed = b.Missed || roll(40) == 0
			return b
		}
		store.mu.Unlock()
		ctx, stop := context.WithCancel(t.Context())
		var watchers sync.WaitGroup
		var wrongs sync.Map
		for range 3 {
			watchers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if fault := follow(ctx, v, truth, tenants, all, time.Duration(roll(20_000))*time.Millisecond, omit); fault != "" {
						wrongs.Store(fault, true)
					}
				}
			})
		}
		var names []string
		for i := range 60 {
			time.Sleep(time.Duration(1+roll(800)) * time.Millisecond)
			from, to := tenants[roll(3)], tenants[roll(3)]
			switch id := fmt.Sprint("m", i); {
			case roll(4) == 0 && len(names) > 0:
				store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "test", ID: names[roll(len(names))]}, "", "")})
			case from == to:
				_ = v.Verify(ctx, to, all[roll(6)])
			case roll(3) == 0:
				moveAt(t, store, time.Now().Add(time.Duration(roll(3000)-1500)*time.Millisecond), id, from, to, registry.Resource{})
				names = append(names, id)
			default:
				moveAt(t, store, time.Now().Add(time.Duration(roll(3000)-1500)*time.Millisecond), id, from, to, all[roll(6)])
			}
			truth.look(t, store, all)
		}
		stop()
		watchers.Wait()
		wrongs.Range(func(fault, _ any) bool {
			wrong++
			if !omit {
				t.Error(fault)
			}
			return true
		})
	})
	return wrong
}

// follow watches for a while, and returns what was told wrong.
func follow(ctx context.Context, v *verifier.Verifier, truth *timeline, tenants []string, all []registry.Resource, long time.Duration, omit bool) string {
	var asked []verifier.Ownership
	for i, r := range all {
		asked = append(asked, verifier.Ownership{TenantID: tenants[i%3], Resource: r}, verifier.Ownership{TenantID: tenants[(i+1)%3], Resource: r})
	}
	began := time.Now()
	w, refused, err := v.WatchAll(ctx, asked)
	time.Sleep(time.Nanosecond) // until what has happened in this moment is written down
	if err != nil {
		pause(ctx, 50*time.Millisecond)
		return ""
	}
	defer w.Close()
	told := map[int]bool{}
	for _, i := range refused {
		told[i] = true
		if !truth.lost(asked[i], began.Add(-S)) {
			return fmt.Sprintf("%v was refused, and owned all the time", asked[i])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		news, err := w.Next(ctx)
		if err != nil {
			return ""
		}
		time.Sleep(time.Nanosecond) // as above
		for _, i := range news.Lost {
			if told[i] {
				return fmt.Sprintf("%v was lost twice", asked[i])
			}
			told[i] = true
			if !truth.lost(asked[i], began.Add(-S)) {
				return fmt.Sprintf("%v was told as lost, and owned all the time", asked[i])
			}
		}
		if !news.Certified {
			continue
		}
		if news.Age > S || news.Age < 0 {
			return fmt.Sprintf("certified with an age of %v", news.Age)
		}
		at := news.At.Add(-news.Age)
		if omit {
			at = news.At
		}
		for i, o := range asked {
			if !told[i] && !truth.owned(o, at) {
				return fmt.Sprintf("%v was not owned from %v on, and certified then", o, at)
			}
		}
	}
}

func TestNothingIsCertifiedAheadOfWhatIsTold(t *testing.T) {
	for seed := range uint64(200) {
		search(t, rand.New(rand.NewPCG(seed, 17)), false)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// It would find a certificate that is a little ahead.
func TestTheSearchNoticesACertificateThatIsAhead(t *testing.T) {
	for seed := range uint64(200) {
		if search(t, rand.New(rand.NewPCG(seed, 17)), true) > 0 {
			return
		}
	}
	t.Error("not noticed")
}
