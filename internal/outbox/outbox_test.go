package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// topic keeps what is published.
type topic struct {
	mu   sync.Mutex
	ids  []string
	away bool
	late time.Duration // after which it says that it is away
	died func() bool   // called before each event; nil: it never does
}

var errAway = errors.New("the topic is away")

func (p *topic) Publish(_ context.Context, all []events.Event) []error {
	time.Sleep(p.late)
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := make([]error, len(all))
	for i, e := range all {
		if p.away || p.died != nil && p.died() {
			errs[i] = errAway
			continue
		}
		p.ids = append(p.ids, e.ID)
	}
	return errs
}

func (p *topic) Close() {}

func (p *topic) set(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// distinct are the ids of what was published.
func (p *topic) distinct() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(p.ids)))
}

func open(t *testing.T, db docdb.DB) *regstore.Store {
	t.Helper()
	s, err := regstore.Open(t.Context(), db, regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	return s
}

// logging is a registry with a log, and a process that publishes to it.
func logging(t *testing.T) (*memdb.DB, *regstore.Store) {
	t.Helper()
	db := memdb.New(time.Now)
	s := open(t, db)
	_, _, err := s.BeginLog(t.Context())
	require.NoError(t, err)
	return db, s
}

// run runs a publisher, until end is called.
func run(t *testing.T, s *regstore.Store, p *topic, o outbox.Options) (end func()) {
	t.Helper()
	o.Open = func(context.Context) (outbox.Topic, error) { return p, nil }
	if o.Holder == "" {
		o.Holder = "a"
	}
	publisher, err := outbox.New(s, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { publisher.Run(ctx); close(ended) }()
	return func() { cancel(); <-ended }
}

func claim(t *testing.T, s *regstore.Store, id string) string {
	t.Helper()
	created, err := s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Thread, ID: id})
	require.NoError(t, err)
	require.True(t, created)
	return "thread__" + id + "__t_a"
}

func waiting(t *testing.T, db *memdb.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: regstore.OutboxCollection}, func(*docdb.Document) error { n++; return nil }))
	return n
}

func TestWhatIsStoredIsPublishedAtOnceAndRemovedFromTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, s := logging(t)
		p := &topic{}
		defer run(t, s, p, outbox.Options{})()
		synctest.Wait()
		began := time.Now()
		var want []string
		for i := range 30 {
			want = append(want, claim(t, s, fmt.Sprint(i)))
		}
		o := s.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "kim", "")})[0]
		require.Equal(t, ownership.Applied, o.Kind)
		synctest.Wait()
		got := p.distinct()
		retracted := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !strings.HasPrefix(id, "retracted/") })
		require.Len(t, retracted, 1)
		slices.Sort(want)
		require.Equal(t, append(retracted, want...), got)
		require.Zero(t, waiting(t, db))
		require.Zero(t, time.Since(began), "nobody waits for a sweep")
	})
}

func TestATopicThatIsAwayHoldsUpNoClaimAndLosesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, s := logging(t)
		p, reader := &topic{away: true}, sdkmetric.NewManualReader()
		defer run(t, s, p, outbox.Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})()
		synctest.Wait()
		var want []string
		for i := range 12_000 { // more than wait in memory
			want = append(want, claim(t, s, fmt.Sprint(i)))
		}
		slices.Sort(want)
		require.Equal(t, len(want), waiting(t, db))
		time.Sleep(10 * time.Minute)
		require.EqualValues(t, len(want), gauge(t, reader, "registry.outbox.waiting"))
		require.InDelta(t, 10*time.Minute.Seconds(), gauge(t, reader, "registry.outbox.age"), 70)
		p.set(false)
		time.Sleep(2 * time.Minute)
		require.Equal(t, want, p.distinct())
		require.Zero(t, waiting(t, db))
		time.Sleep(time.Minute)
		require.Zero(t, gauge(t, reader, "registry.outbox.waiting"))
		require.Zero(t, gauge(t, reader, "registry.outbox.age"))
	})
}

func gauge(t *testing.T, reader *sdkmetric.ManualReader, name string) float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			if g, ok := m.Data.(metricdata.Gauge[int64]); ok {
				return float64(g.DataPoints[0].Value)
			}
			return m.Data.(metricdata.Gauge[float64]).DataPoints[0].Value
		}
	}
	t.Fatal("there is no " + name)
	return 0
}

func TestAProcessThatEndsPublishesFirstWhatItHasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, s := logging(t)
		p := &topic{}
		end := run(t, s, p, outbox.Options{})
		synctest.Wait()
		var want []string
		for i := range 2000 {
			want = append(want, claim(t, s, fmt.Sprint(i)))
		}
		end()
		slices.Sort(want)
		require.Equal(t, want, p.distinct())
		require.Zero(t, waiting(t, db))
	})
}

func TestALogThatBeginsWhileAProcessRunsIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memdb.New(time.Now)
		s := open(t, db)
		p := &topic{}
		defer run(t, s, p, outbox.Options{})()
		claim(t, s, "before")
		time.Sleep(time.Hour)
		require.Empty(t, p.distinct())
		_, _, err := open(t, db).BeginLog(t.Context())
		require.NoError(t, err)
		want := claim(t, s, "after")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{want}, p.distinct())
	})
}

func TestOfManyProcessesOneSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, _ := logging(t)
		var queries atomic.Int64
		counted := docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
			if c.Method == "Query" && c.Query.Collection == regstore.OutboxCollection {
				queries.Add(1)
			}
			return do()
		})
		const processes, minutes, shards = 10, 60, 8
		for i := range processes {
			defer run(t, open(t, counted), &topic{}, outbox.Options{Holder: fmt.Sprint("p", i)})()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		queries.Store(0)
		time.Sleep(minutes * time.Minute)
		require.LessOrEqual(t, queries.Load(), int64((minutes+1)*shards))
		require.GreaterOrEqual(t, queries.Load(), int64((minutes-1)*shards))
	})
}

// A sweep that began with the first name would pass over all that was ever there.
func TestASweepBeginsWhereTheLastHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, _ := logging(t)
		var after []string
		s := open(t, docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
			if c.Method == "Query" && c.Query.Collection == regstore.OutboxCollection {
				after = append(after, c.Query.After)
			}
			return do()
		}))
		defer run(t, s, &topic{}, outbox.Options{})()
		time.Sleep(time.Hour)
		synctest.Wait()
		floor := time.Now().Add(-3 * time.Minute).UnixMicro()
		for _, name := range after[len(after)-8:] {
			require.Greater(t, strings.Split(name, ".")[1], fmt.Sprintf("%020d", floor))
		}
	})
}

func TestWhatIsNotUnderstoodStaysInTheOutboxForWhoUnderstandsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, s := logging(t)
		later, other := claim(t, s, "later"), claim(t, s, "other")
		var name string
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: regstore.OutboxCollection}, func(d *docdb.Document) error {
			if d.Fields["of_resource"].GetStringValue() == "thread__later" {
				name = d.Name
			}
			return nil
		}))
		format := func(n int64) {
			_, err := db.Commit(t.Context(), docdb.Write{Name: name, Mask: []string{"format"}, Fields: map[string]*docdb.Value{"format": docdb.Integer(n)}})
			require.NoError(t, err)
		}
		format(1000)
		p := &topic{}
		defer run(t, s, p, outbox.Options{})()
		time.Sleep(10 * time.Minute)
		require.Equal(t, []string{other}, p.distinct())
		require.Equal(t, 1, waiting(t, db))
		format(1)
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{later, other}, p.distinct())
		require.Zero(t, waiting(t, db))
	})
}
