package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
)

const (
	hotRoundTrip = 20 * time.Millisecond
	hotWindow    = time.Minute
	// hotLasts is two windows and a half.
	hotLasts = 150 * time.Second
	// hotStores is how many stores, with their connections, the processes of a row
	// share: each is a limiter, with blocks of its own.
	hotStores = 8
)

// hotTenant is one tenant whose requests spread over many processes.
type hotTenant struct {
	processes int
	perSecond int // requests of each process
	limit     int64
}

var hotRows = []hotTenant{
	{200, 5, 1_000_000}, {200, 1, 100}, {200, 1, 1000}, {50, 5, 1_000_000}, {10, 5, 1_000_000}, {1, 5, 1_000_000},
}

// hotTenants measures one tenant over more and more processes: what its document
// is written at, and what its requests wait for.
func (b *bench) hotTenants(ctx context.Context) (table, error) {
	t := table{title: "One tenant over many processes", header: []string{
		"processes × requests/s, limit a minute", "admitted in a window", "refused early", "failed", "p50", "p90", "p99", "longest",
		"writes/s to its document (tried)", "to its busiest part", "reads per refusal", "writes per 1,000 admitted",
	}, notes: []string{
		fmt.Sprintf("Under the services' rules, %v away, for %v, from windows that nobody had asked for, the beginnings of two windows among them. A process is a limiter of its own; they share a machine.", hotRoundTrip, hotLasts),
		"The documents take five writes a second for long (package emulator/wire/rules). The last window is cut off.",
		"*Refused early*: 429 with a Retry-After of at most two seconds, while the window may have units (docs/throttle.md).",
	}}
	for _, row := range hotRows {
		r, err := b.hotTenant(ctx, row)
		if err != nil {
			return t, err
		}
		b.say("hot tenant  %s", strings.Join(r, "  "))
		t.rows = append(t.rows, r)
	}
	return t, nil
}

func (b *bench) hotTenant(ctx context.Context, row hotTenant) ([]string, error) {
	a, err := newAway(b.emulators, hotRoundTrip)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.close() }()
	project := fmt.Sprintf("bench-%08x", rand.Uint32())
	m := &hotMeter{writes: map[string]*hotWrites{}, admitted: map[quota.WindowID]int64{}}
	var stores []quota.Store
	for range min(hotStores, row.processes) {
		s, err := fsquota.Open(ctx, fsquota.Options{ProjectID: project, ClientOptions: a.options()})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		stores = append(stores, &hotStore{s, m})
	}
	var limiters []*quota.Limiter
	for i := range row.processes {
		l, err := quota.New(stores[i%len(stores)], quota.Options{Policies: []quota.Policy{{Limit: row.limit, Window: hotWindow}}})
		if err != nil {
			return nil, err
		}
		limiters = append(limiters, l)
	}
	if err := warmUp(ctx, stores); err != nil {
		return nil, err
	}
	m.reset()
	if err := m.load(ctx, row, limiters); err != nil {
		return nil, err
	}
	cells := m.cells(row) // before what closing writes
	closing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var group errgroup.Group
	for _, l := range limiters {
		group.Go(func() error { _ = l.Close(closing); return nil }) // what is not released in time ends with its window
	}
	return cells, errors.Join(group.Wait(), ctx.Err())
}

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
}

type hotWrites struct{ tried, done int }

// warmUp uses the connections, and lets Java compile, with windows of others.
func warmUp(ctx context.Context, stores []quota.Store) error {
	var group errgroup.Group
	for i, s := range stores {
		for j := range 25 {
			group.Go(func() error {
				key := quota.Key{Tenant: fmt.Sprintf("t_warm_%d_%d", i, j), Action: "chat_send"}
				for range 20 {
					w, err := s.Load(ctx, key)
					if err == nil {
						_, err = s.Save(ctx, key, quota.Change{Window: w.Window, Since: w.Version, ExpiresAt: time.Now()})
					}
					if err != nil {
						return fmt.Errorf("warm up: %w", err)
					}
				}
				return nil
			})
		}
	}
	return group.Wait()
}

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
	every := time.Second / time.Duration(row.perSecond)
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
	case d.Allowed:
		m.admitted[d.Window]++
	case d.Contended:
		m.early++
	default:
		m.refused++
	}
}

func (m *hotMeter) cells(row hotTenant) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.took)
	var windows []string
	var admitted int64
	for _, id := range slices.SortedFunc(maps.Keys(m.admitted), func(a, b quota.WindowID) int { return int(a.LastReset - b.LastReset) }) {
		windows = append(windows, fmt.Sprint(m.admitted[id]))
		admitted += m.admitted[id]
	}
	var own, busiest hotWrites
	writes := 0
	for name, w := range m.writes {
		writes += w.done
		if !strings.Contains(name, ".") {
			own = *w
		} else if w.done > busiest.done {
			busiest = *w
		}
	}
	seconds := hotLasts.Seconds()
	perRefusal := "–"
	if n := m.refused + m.early; n > 0 {
		perRefusal = fmt.Sprintf("%.2f", float64(m.reads)/float64(n))
	}
	return []string{
		fmt.Sprintf("%d × %d, %d", row.processes, row.perSecond, row.limit), strings.Join(windows, ", "), fmt.Sprint(m.early), fmt.Sprint(m.failed),
		milliseconds(percentile(m.took, 50)), milliseconds(percentile(m.took, 90)), milliseconds(percentile(m.took, 99)), milliseconds(percentile(m.took, 100)),
		fmt.Sprintf("**%.2f** (%.2f)", float64(own.done)/seconds, float64(own.tried)/seconds), fmt.Sprintf("%.2f", float64(busiest.done)/seconds),
		perRefusal, fmt.Sprintf("%.1f", float64(writes)*1000/float64(max(1, admitted))),
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

func (s *hotStore) Load(ctx context.Context, key quota.Key) (quota.Snapshot, error) {
	s.m.mu.Lock()
	s.m.reads++
	s.m.mu.Unlock()
	return s.Store.Load(ctx, key)
}

func (s *hotStore) Save(ctx context.Context, key quota.Key, c quota.Change) (quota.Receipt, error) {
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
