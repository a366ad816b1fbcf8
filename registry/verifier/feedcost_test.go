package verifier_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// feedBill counts what the feed is billed: at least one read for each query, one for
// each 1,000 documents that are counted, and one for each that a listener is told
// of (https://cloud.google.com/firestore/pricing).
type feedBill struct {
	mu    sync.Mutex
	reads int
	// slow is how long a call takes, by what it brings.
	slow func(c *docdbtest.Call, found int)
}

func (b *feedBill) around(c *docdbtest.Call, do func() error) error {
	found, visit, tell := 0, c.Visit, c.Tell
	feed := c.Query.Collection == regstore.FeedCollection
	c.Visit = func(d *docdb.Document) error { found++; return visit(d) }
	c.Tell = func(e docdb.Event) {
		if e.Document != nil && c.Targets[e.Target].Document == "" {
			b.add(1)
		}
		tell(e)
	}
	err := do()
	switch {
	case feed && c.Method == "Query":
		b.add(max(1, found))
	case feed && c.Method == "Count":
		b.add(max(1, int(c.Counted+999)/1000))
	}
	if b.slow != nil {
		b.slow(c, found)
	}
	return err
}

func (b *feedBill) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads += n
}

// take returns the reads since it was last called.
func (b *feedBill) take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.reads = 0 }()
	return b.reads
}

// moving writes entries of the feed, as commits do that move threads.
type moving struct {
	t  *testing.T
	db docdb.DB
	n  int // entries so far
}

// event writes the entry of a commit that moves so many threads.
func (m *moving) event(threads int) {
	m.t.Helper()
	names := make([]string, threads)
	for i := range names {
		names[i] = thread(fmt.Sprint("m_", i)).DocumentID()
	}
	m.n++
	_, err := m.db.Commit(m.t.Context(), docdb.Write{
		Name:   m.db.Name(regstore.FeedCollection, fmt.Sprint(m.n)),
		Fields: map[string]*docdb.Value{"resources": docdb.Texts(names), "format": docdb.Integer(2)},
		Times:  []string{"at"},
	})
	require.NoError(m.t, err)
}

// billedFeed runs a test with a verifier that has been asked for a while, at a
// MaxStaleness of 2 s, and what its feed is billed.
func billedFeed(t *testing.T, bill *feedBill, test func(t *testing.T, m *moving, v *verifier.Verifier)) {
	synctest.Test(t, func(t *testing.T) {
		db := memdb.New(time.Now)
		reader, err := regstore.Open(t.Context(), docdbtest.Around(db, bill.around), regstore.Options{})
		require.NoError(t, err)
		writer, err := regstore.Open(t.Context(), db, regstore.Options{})
		require.NoError(t, err)
		claim(t, writer, "t_ann", thread("th_1"))
		v := keeping(t, reader, verifier.Options{})
		w, refused, err := v.WatchAll(t.Context(), []verifier.Ownership{{TenantID: "t_ann", Resource: thread("th_1")}})
		require.NoError(t, err)
		require.Empty(t, refused)
		defer w.Close()
		time.Sleep(30 * time.Second)
		bill.take()
		test(t, &moving{t: t, db: db}, v)
	})
}

// What each process that verifies reads of the feed (docs/verifier.md), at 2 s: one
// each second if nothing changes.
func TestWhatFollowingTheFeedCosts(t *testing.T) {
	const long = 60 // seconds
	for name, test := range map[string]struct {
		move func(m *moving)
		most int // reads beyond those of a feed in which nothing changes
	}{
		"nothing changes":     {func(m *moving) { time.Sleep(long * time.Second) }, 0},
		"one event of 500":    {func(m *moving) { m.event(250); m.event(250); time.Sleep(long * time.Second) }, 15},
		"an event a minute":   {func(m *moving) { m.event(1); time.Sleep(long * time.Second) }, 1},
		"an event a second":   {func(m *moving) { every(m, long, time.Second, 1) }, 2 * long},
		"20 events of 250/s":  {func(m *moving) { every(m, long*20, 50*time.Millisecond, 250) }, (2 + 20 + 15) * long},
		"100 events of one/s": {func(m *moving) { every(m, long*100, 10*time.Millisecond, 1) }, (2 + 100 + 75 + 2) * long},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bill := &feedBill{}
			billedFeed(t, bill, func(t *testing.T, m *moving, _ *verifier.Verifier) {
				test.move(m)
				reads := bill.take()
				t.Logf("%d reads of the feed in %d s", reads, long)
				require.LessOrEqual(t, reads, long+1+test.most)
			})
		})
	}
}

// every makes n events with a time between them, of so many threads each.
func every(m *moving, n int, between time.Duration, threads int) {
	for range n {
		m.event(threads)
		time.Sleep(between)
	}
}

// Others change 5,000 resources a second, at a distance at which each call takes
// 20 ms, each document that is read 50 µs and each that is counted 2 µs: by few
// commits, and by one for each, which is more than any index takes.
func TestAQuietTenantIsCertifiedBeside5000ChangesASecondOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		between time.Duration
		threads int
	}{
		"20 commits of 250/s":  {50 * time.Millisecond, 250},
		"5,000 commits of 1/s": {200 * time.Microsecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const long = 13 * time.Second // more than entries are read or counted for
			bill := &feedBill{slow: func(c *docdbtest.Call, found int) {
				if c.Method != "Listen" {
					time.Sleep(20*time.Millisecond + time.Duration(found)*50*time.Microsecond + time.Duration(c.Counted)*2*time.Microsecond)
				}
			}}
			billedFeed(t, bill, func(t *testing.T, m *moving, v *verifier.Verifier) {
				h := hear(t, v, []verifier.Ownership{{TenantID: "t_ann", Resource: thread("th_1")}})
				time.Sleep(S)
				h.take()
				from := time.Now()
				every(m, int(long/test.between), test.between, test.threads)
				news := h.take()
				require.Empty(t, reasonsOf(news), "it is never uncertain")
				oldest := time.Duration(0)
				for _, n := range news {
					oldest = max(oldest, n.Age)
				}
				gap := gapOf(news, from, time.Now())
				t.Logf("certified every %v at the latest, %v old at most, for %d reads of the feed a second", gap, oldest, bill.take()/int(long/time.Second))
				require.LessOrEqual(t, gap, S/2)
				require.LessOrEqual(t, oldest, S)
			})
		})
	}
}
