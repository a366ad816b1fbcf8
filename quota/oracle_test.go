package quota

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// oracle is the throttle as one would write it for one process that never ends:
// a window begins with the first request after the last one's end.
type oracle struct {
	limit   int64
	total   int64 // of all actions of a tenant together; 0: none
	window  time.Duration
	windows map[limits.Key]*oracleWindow
}

type oracleWindow struct {
	began time.Time
	count int64
}

func (o *oracle) at(now time.Time, key limits.Key) *oracleWindow {
	w := o.windows[key]
	if w == nil || now.Sub(w.began) >= o.window {
		w = &oracleWindow{began: now}
		o.windows[key] = w
	}
	return w
}

// allow tells the units that are left of the window that refuses, or of the one
// with less.
func (o *oracle) allow(now time.Time, key limits.Key, n int64) (allowed bool, remaining int64) {
	all := &oracleWindow{count: math.MinInt64 / 2}
	if o.total > 0 {
		if all = o.at(now, limits.Key{Tenant: key.Tenant, Action: TotalAction}); all.count+n > o.total {
			return false, o.total - all.count
		}
	}
	w := o.at(now, key)
	if w.count+n > o.limit {
		return false, o.limit - w.count
	}
	w.count += n
	all.count += n
	return true, min(o.limit-w.count, o.total-all.count)
}

// memoryStore is the least store there is: package memory would be an import
// cycle.
type memoryStore struct {
	now          time.Time
	mu           sync.Mutex
	documents    map[limits.Key]limits.Snapshot
	loads, saves int
}

func (s *memoryStore) Load(_ context.Context, key limits.Key) (limits.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	d, ok := s.documents[key]
	if !ok {
		d.Version = limits.Absent
	}
	d.ReadTime = s.now
	return d, nil
}

func (s *memoryStore) Save(_ context.Context, key limits.Key, c limits.Change) (limits.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	if d, ok := s.documents[key]; ok && d.Version != c.Since {
		return limits.Receipt{}, limits.ErrConflict
	}
	s.documents[key] = limits.Snapshot{Window: c.Window, Version: limits.Version(s.saves)}
	return limits.Receipt{Version: limits.Version(s.saves), CommitTime: s.now}, nil
}

func (s *memoryStore) Watch(ctx context.Context, _ limits.Watcher) error {
	<-ctx.Done()
	return ctx.Err()
}
func (s *memoryStore) Close() error { return nil }

// pair is a limiter and an oracle at the same time.
type pair struct {
	store   *memoryStore
	limiter *Limiter
	oracle  *oracle
}

func newPair(t require.TestingT, limit, total int64, window time.Duration) *pair {
	p := &pair{
		store:  &memoryStore{now: time.Unix(1519660000, 0), documents: map[limits.Key]limits.Snapshot{}},
		oracle: &oracle{limit, total, window, map[limits.Key]*oracleWindow{}},
	}
	policies := []Policy{{Limit: limit, Window: window}}
	if total > 0 {
		policies = append(policies, Policy{Action: TotalAction, Limit: total, Window: window})
	}
	began := p.store.now
	var err error
	p.limiter, err = newLimiter(p.store, Options{Policies: policies},
		func() instant { return instant(p.store.now.Sub(began)) + 1 })
	require.NoError(t, err)
	return p
}

func (p *pair) ask(t require.TestingT, key limits.Key, n int) Decision {
	d, err := p.limiter.AllowN(context.Background(), key.Tenant, key.Action, n)
	require.NoError(t, err)
	want, remaining := p.oracle.allow(p.store.now, key, int64(n))
	if d.Allowed != want || d.Remaining != remaining {
		require.Equal(t, fmt.Sprint(want, remaining), fmt.Sprint(d.Allowed, d.Remaining), "%s at %v", key, p.store.now)
	}
	return d
}

func (p *pair) sweep() {
	for i := range p.limiter.table.shards {
		p.limiter.sweep(&p.limiter.table.shards[i])
	}
	p.limiter.underWay.Wait()
}

func TestOneProcessDecidesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 40).Draw(t, "limit")
		window := time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second
		total := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(3, 60)).Draw(t, "total")
		p := newPair(t, limit, total, window)
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			if rapid.IntRange(0, 3).Draw(t, "pass") == 0 {
				p.store.now = p.store.now.Add(time.Duration(rapid.Int64Range(0, 20e6).Draw(t, "µs")) * time.Microsecond)
			}
			if rapid.IntRange(0, 20).Draw(t, "sweep") == 0 {
				p.sweep()
			}
			key := limits.Key{Tenant: rapid.SampledFrom([]string{"t_a", "t_b"}).Draw(t, "tenant"), Action: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "action")}
			p.ask(t, key, rapid.IntRange(1, int(min(3, limit))).Draw(t, "n"))
		}
	})
}

var traceFolder = flag.String("real-trace", "", "folder with a trace: *.events.ndjson.gz, and *.accesses.csv.gz of unix_seconds,thread_id")

// TestARealTraceIsDecidedAsByTheOracle replays the accesses with the owners of
// the events.
func TestARealTraceIsDecidedAsByTheOracle(t *testing.T) {
	folder := *traceFolder
	if folder == "" {
		t.Skip("-real-trace names no folder with a trace")
	}
	for _, policy := range []Policy{{Limit: 100, Window: time.Minute}, {Limit: 5, Window: time.Minute}, {Limit: 100, Window: time.Hour}} {
		t.Run(fmt.Sprintf("%d in %v", policy.Limit, policy.Window), func(t *testing.T) {
			replayTrace(t, folder, policy)
		})
	}
}

func replayTrace(t *testing.T, folder string, policy Policy) {
	p := newPair(t, policy.Limit, 0, policy.Window)
	owner := owners(t, folder)
	decisions, refusals, sweep := 0, 0, p.store.now
	for line := range lines(t, folder, "*.accesses.csv.gz") {
		seconds, thread, _ := strings.Cut(line, ",")
		at, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			continue // the heading
		}
		p.store.now = time.Unix(at, 0)
		if p.store.now.Sub(sweep) >= sweepParts*sweepEvery {
			sweep = p.store.now
			p.sweep()
		}
		decisions++
		if d := p.ask(t, limits.Key{Tenant: owner(at, thread), Action: "connect"}, 1); !d.Allowed {
			refusals++
		}
	}
	t.Logf("%d decisions as the oracle's, %d of them refusals; %d reads, %d writes", decisions, refusals, p.store.loads, p.store.saves)
	require.Positive(t, decisions)
}

// owners returns who owns a thread at a time, for times that grow.
func owners(t *testing.T, folder string) func(at int64, thread string) string {
	type event struct {
		Time time.Time `json:"time"`
		Data struct {
			Tenant    string                      `json:"tenant_id"`
			Thread    string                      `json:"thread_id"`
			To        string                      `json:"to_tenant_id"`
			Resources []struct{ Kind, ID string } `json:"resources"`
		} `json:"data"`
	}
	var events []event
	for line := range lines(t, folder, "*.events.ndjson.gz") {
		var e event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		events = append(events, e)
	}
	owner := map[string]string{}
	return func(at int64, thread string) string {
		for len(events) > 0 && events[0].Time.Unix() <= at {
			d := events[0].Data
			events = events[1:]
			if d.Thread != "" {
				owner[d.Thread] = d.Tenant
			}
			for _, r := range d.Resources {
				owner[r.ID] = d.To
			}
		}
		require.NotEmpty(t, owner[thread], "owner of %s", thread)
		return owner[thread]
	}
}

func lines(t *testing.T, folder, pattern string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		require.NoError(t, err)
		require.Len(t, files, 1)
		f, err := os.Open(files[0])
		require.NoError(t, err)
		defer f.Close()
		unzipped, err := gzip.NewReader(f)
		require.NoError(t, err)
		scanner := bufio.NewScanner(unzipped)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if !yield(scanner.Text()) {
				return
			}
		}
		require.NoError(t, scanner.Err())
	}
}
