package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
)

// concurrentWriters has several processes add moves to few documents at once.
func concurrentWriters(t *testing.T, b Backend) {
	const writers, resources, moves = 4, 3, 15
	var wg sync.WaitGroup
	for w := range writers {
		s := b.Open()
		wg.Go(func() {
			for m := range moves {
				var changes []ownership.Change
				for r := range resources {
					n := w*moves + m
					changes = append(changes, moved(thread(fmt.Sprint(r)), "t_a", "t_b", n, fmt.Sprint("e", n)))
				}
				for i, o := range s.Apply(context.Background(), changes) {
					if o.Kind == ownership.Failed {
						t.Errorf("writer %d, move %d, resource %d: %v", w, m, i, o.Err)
					}
				}
			}
		})
	}
	wg.Wait()
	for r := range resources {
		record, _ := read(t, b.Open(), thread(fmt.Sprint(r)))
		require.Len(t, record.History, writers*moves, "every entry is there, none twice")
	}
	require.GreaterOrEqual(t, len(b.Feed()), resources*(writers*moves-1), "each change of an existing history is in the feed")
}

// convergence delivers random events in random batches to several processes,
// some of them twice, and holds the result against the reference fold.
func convergence(t *testing.T, b Backend) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		var ref reference.Registry
		var deliveries []ownership.Change
		for n := range 60 {
			c := randomChange(random, fmt.Sprint("s", seed), n)
			ref.Add(c)
			deliveries = append(deliveries, c)
			if random.IntN(4) == 0 {
				deliveries = append(deliveries, c)
			}
		}
		random.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
		deliver(t, b, deliveries, random)

		s := b.Open()
		for resource, want := range ref.Owners() {
			require.Equal(t, want, owner(t, s, resource), "seed %d, %s", seed, resource)
		}
	}
}

func randomChange(random *rand.Rand, run string, n int) ownership.Change {
	tenant := func() string { return "t_" + run + string(rune('a'+random.IntN(4))) }
	id := fmt.Sprint(run, "-", n)
	from, to := tenant(), tenant()
	for to == from {
		to = tenant()
	}
	at := random.IntN(40)
	r := thread(fmt.Sprint(run, "-", random.IntN(6)))
	switch random.IntN(6) {
	case 0:
		return tenantMoved(from, to, at, id)
	case 1, 2:
		return moved(r, from, to, at, id)
	}
	return created(r, from, at, id)
}

func deliver(t *testing.T, b Backend, deliveries []ownership.Change, random *rand.Rand) {
	t.Helper()
	var wg sync.WaitGroup
	stores := []Store{b.Open(), b.Open(), b.Open()}
	for i := 0; len(deliveries) > 0; i++ {
		n := 1 + random.IntN(min(8, len(deliveries)))
		batch := deliveries[:n]
		deliveries = deliveries[n:]
		wg.Go(func() {
			for _, o := range stores[i%len(stores)].Apply(context.Background(), batch) {
				if o.Kind == ownership.Failed {
					t.Error(o.Err)
				}
			}
		})
	}
	wg.Wait()
}
