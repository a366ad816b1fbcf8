package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// hotMeter counts what the processes of a row are told, and what they write.
type hotMeter struct {
	mu       sync.Mutex
	writes   map[string]*hotWrites // by document
	reads    int
	took     []time.Duration
	admitted map[quota.WindowID]int64
	refused  int
	early    int
	failed   int
	why      error // the first failure
}

type hotWrites struct{ tried, done int }

func (m *hotMeter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes, m.reads = map[string]*hotWrites{}, 0
}

// load asks at the row's rate, each process at moments of its own.
func (m *hotMeter) load(ctx context.Context, row hotTenant, limiters []*quota.Limiter) error {
	ctx, cancel := context.WithTimeout(ctx, hotLasts)
	defer cancel()
	var all sync.WaitGroup
	every := time.Second / time.Duration(row.rate)
	for _, l := range limiters {
		all.Go(func() {
			time.Sleep(rand.N(every))
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for ctx.Err() == nil {
				all.Go(func() { m.ask(l) })
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

func (m *hotMeter) ask(l *quota.Limiter) {
	began := time.Now()
	d, err := l.Allow(context.Background(), "t_hot", "chat_send")
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, took)
	switch {
	case err != nil:
		m.failed++
		m.why = cmp.Or(m.why, fmt.Errorf("%s after %v: %w", began.UTC().Format(time.TimeOnly), took.Round(time.Millisecond), err))
	case d.Allowed:
		m.admitted[d.Window]++
	case d.Contended:
		m.early++
	default:
		m.refused++
	}
}

// hotFigures is what was measured of a row.
type hotFigures struct {
	hotTenant
	admitted      []int64 // of each window
	took          []time.Duration
	refused       int // early ones too
	early, failed int
	own, busiest  hotWrites // of the tenant's document, of its busiest part
	reads, writes int
	cpu           time.Duration // of this process
	emulators     time.Duration // their CPU time
	lone          time.Duration // what 95 of 100 lone reads took at most
}

func (m *hotMeter) figures(row hotTenant) hotFigures {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := hotFigures{hotTenant: row, took: slices.Sorted(slices.Values(m.took)), refused: m.refused + m.early, early: m.early, failed: m.failed, reads: m.reads}
	for _, id := range slices.SortedFunc(maps.Keys(m.admitted), func(a, b quota.WindowID) int { return cmp.Compare(a.LastReset, b.LastReset) }) {
		f.admitted = append(f.admitted, m.admitted[id])
	}
	for name, w := range m.writes {
		f.writes += w.done
		if !strings.Contains(name, ".") {
			f.own = *w
		} else if w.done > f.busiest.done {
			f.busiest = *w
		}
	}
	return f
}

func (f hotFigures) wait(percent int) time.Duration { return percentile(f.took, percent) }

func (f hotFigures) perSecond(n int) float64 { return float64(n) / hotLasts.Seconds() }

func (f hotFigures) readsPerRefusal() float64 { return float64(f.reads) / float64(max(1, f.refused)) }

func (f hotFigures) what() string {
	return fmt.Sprintf("%d processes × %d/s, %s a minute", f.processes, f.rate, grouped(int(f.limit)))
}

func (f hotFigures) cells() []string {
	var windows []string
	var admitted int64
	for _, n := range f.admitted {
		windows = append(windows, fmt.Sprint(n))
		admitted += n
	}
	perRefusal := "–"
	if f.refused > 0 {
		perRefusal = fmt.Sprintf("%.3f", f.readsPerRefusal())
	}
	return []string{
		fmt.Sprintf("%d × %d, %s", f.processes, f.rate, grouped(int(f.limit))), strings.Join(windows, ", "), fmt.Sprint(f.early), fmt.Sprint(f.failed),
		milliseconds(f.wait(50)), milliseconds(f.wait(90)), milliseconds(f.wait(99)), milliseconds(f.wait(100)),
		fmt.Sprintf("**%.2f** (%.2f)", f.perSecond(f.own.done), f.perSecond(f.own.tried)), fmt.Sprintf("%.2f", f.perSecond(f.busiest.done)),
		perRefusal, fmt.Sprintf("%.1f", float64(f.writes)*1000/float64(max(1, admitted))),
		fmt.Sprintf("%.2f", f.cpu.Seconds()/hotLasts.Seconds()), fmt.Sprintf("%.2f", f.emulators.Seconds()/hotLasts.Seconds()), milliseconds(f.lone),
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// hotStore is a store whose calls are counted.
type hotStore struct {
	quota.Store
	m *hotMeter
}

func (s *hotStore) Load(ctx context.Context, key limits.Key) (limits.Snapshot, error) {
	s.m.mu.Lock()
	s.m.reads++
	s.m.mu.Unlock()
	return s.Store.Load(ctx, key)
}

func (s *hotStore) Save(ctx context.Context, key limits.Key, c limits.Change) (limits.Receipt, error) {
	r, err := s.Store.Save(ctx, key, c)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	w := s.m.writes[key.DocumentID()]
	if w == nil {
		w = &hotWrites{}
		s.m.writes[key.DocumentID()] = w
	}
	w.tried++
	if err == nil {
		w.done++
	}
	return r, err
}

// processCPU is what this process has taken of the machine so far.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
