package certified

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Checks look entries up without the lock, while others are put, evicted and
// moved into other chains. None finds what was taken out before it began, nor
// what was never there, nor somebody else's.
func TestALookupNeverFindsWhatWasTakenOutBefore(t *testing.T) {
	const resources, others = 8, 500
	var s shard
	s.init(maphash.MakeSeed(), resources+others/2, 1<<20)
	named := func(name string, i int) (registry.Resource, uint64) {
		id := fmt.Sprint(name, i)
		return registry.Resource{Kind: registry.Thread, ID: id}, maphash.String(s.seed, id)
	}
	var takenOut [resources]atomic.Int64 // the read of the entry that was taken out last
	var found atomic.Int64
	over := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			for i := 0; ; i = (i + 1) % resources {
				r, hash := named("th_", i)
				before := takenOut[i].Load()
				if e := s.lookup(hash, r); e != nil {
					if int64(e.read) <= before || e.key != "tth_"+fmt.Sprint(i)+"t_acme" {
						t.Errorf("found %q of read %d, when %d was removed", e.key, e.read, before)
					}
					found.Add(1)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	f := facts{Brief: ownership.Brief{Tenant: "t_acme"}}
	for read := 1; read < 20_000 || found.Load() < 1000; read++ {
		s.mu.Lock()
		other, hash := named("other_", read%others)
		s.putLocked(hash, other, f, 1, 0) // makes the table grow, and then evicts
		if read%(4*others) == 0 {
			s.clearLocked()
		}
		i := read % resources
		r, hash := named("th_", i)
		s.putLocked(hash, r, f, time.Duration(read), 0)
		if read%3 > 0 {
			s.removeLocked(hash, r)
			takenOut[i].Store(int64(read))
		}
		s.mu.Unlock()
	}
	close(over)
	running.Wait()
}
