package ownership_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// wholeMove is the n-th of many moves of whole tenants: ids of 12 bytes, events of 36.
func wholeMove(n int, position int64) ownership.LedgerEntry {
	return ownership.LedgerEntry{
		Version: ownership.Version{Time: time.Unix(1.7e9, int64(n)).UTC(), Source: "//nexus/tenants", ID: fmt.Sprintf("01234567-89ab-cdef-0123-%012d", n)},
		From:    fmt.Sprintf("t_%010d", n), To: fmt.Sprintf("t_%010d", n+1_000_000_000), Position: position,
	}
}

// BenchmarkLedger is what a change of a ledger of so many moves costs, how long it
// takes to make, and what an entry takes in memory.
func BenchmarkLedger(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		entries := make([]ownership.LedgerEntry, n)
		for i := range entries {
			entries[i] = wholeMove(i*7919%n, int64(i+1))
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		l := ownership.NewLedger(int64(n), entries)
		made := time.Since(began)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.Run(fmt.Sprint("change/", n), func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
			b.ReportMetric(made.Seconds(), "s/make")
			for i := range b.N {
				l = l.With(l.Position()+1, []ownership.LedgerEntry{wholeMove(n+i, l.Position()+1)})
			}
		})
		runtime.KeepAlive(entries)
	}
}
