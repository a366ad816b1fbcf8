package regstore_test

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// feedReader is a store over memory whose feed a cursor follows, and what its reads
// are billed.
type feedReader struct {
	t      *testing.T
	db     *memdb.DB
	store  *regstore.Store
	cursor *ownership.FeedCursor
	around func(c *docdbtest.Call, do func() error) error

	mu     sync.Mutex
	told   []string
	reads  int // billed
	counts int
	n      int // entries that were written
}

// newFeedReader is to be called in a bubble. Its cursor has begun.
func newFeedReader(t *testing.T) *feedReader {
	f := &feedReader{t: t, db: memdb.New(time.Now)}
	s, err := regstore.Open(t.Context(), docdbtest.Around(f.db, f.bill), regstore.Options{})
	require.NoError(t, err)
	f.store = s
	f.cursor = ownership.NewFeedCursor(func(entries []ownership.FeedEntry) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, e := range entries {
			f.told = append(f.told, e.ID)
		}
	})
	require.True(t, f.read().Missed)
	time.Sleep(20 * time.Second)
	f.read()
	return f
}

// bill counts reads of the feed as they are billed: at least one for each query, and
// one for each 1,000 that are counted.
func (f *feedReader) bill(c *docdbtest.Call, do func() error) error {
	found, visit := 0, c.Visit
	c.Visit = func(d *docdb.Document) error { found++; return visit(d) }
	call := do
	if f.around != nil {
		call = func() error { return f.around(c, do) }
	}
	err := call()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case c.Query.Collection != regstore.FeedCollection:
	case c.Method == "Query":
		f.reads += max(1, found)
	case c.Method == "Count":
		f.counts++
		f.reads += max(1, int(c.Counted+999)/1000)
	}
	return err
}

// entry is a write of a feed entry of a time.
func (f *feedReader) entry(at time.Time) docdb.Write {
	f.n++
	return docdb.Write{Name: f.db.Name(regstore.FeedCollection, fmt.Sprint("e", f.n)), Fields: map[string]*docdb.Value{
		"resource": docdb.Text("thread__1"), "format": docdb.Integer(1), "at": docdb.Timestamp(at),
	}}
}

// commit writes n entries of a time, and returns the name of the last.
func (f *feedReader) commit(n int, at time.Time) string {
	f.t.Helper()
	var writes []docdb.Write
	for range n {
		writes = append(writes, f.entry(at))
	}
	_, err := f.db.Commit(f.t.Context(), writes...)
	require.NoError(f.t, err)
	return fmt.Sprint("e", f.n)
}

func (f *feedReader) read() ownership.FeedBatch {
	f.t.Helper()
	batch, err := f.store.Changes(f.t.Context(), f.cursor)
	require.NoError(f.t, err)
	return batch
}

// take returns what was told, and what it cost, since it was last called.
func (f *feedReader) take() (told []string, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told, reads = f.told, f.reads
	f.told, f.reads, f.counts = nil, 0, 0
	return told, reads
}

func feedBubble(t *testing.T, test func(*testing.T, *feedReader)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeedReader(t)
		f.take()
		test(t, f)
	})
}

func TestWhatWasToldIsCountedAndNotReadAgain(t *testing.T) {
	feedBubble(t, func(t *testing.T, f *feedReader) {
		const n = 5000
		for range 10 {
			f.commit(n/10, time.Now())
			time.Sleep(100 * time.Millisecond)
			f.read()
		}
		told, _ := f.take()
		require.Len(t, told, n)
		time.Sleep(time.Second)
		f.read()
		for range 9 { // for as long as more of them may appear
			f.take()
			time.Sleep(time.Second)
			f.read()
			told, reads := f.take()
			require.Empty(t, told)
			require.LessOrEqual(t, reads, 1+n/1000, "the end of the feed, and a read for each 1,000 that are counted")
		}
	})
}

// The request that wrote it is from before the last read, its commit after that.
func TestACommitThatComesLateIsFoundByCounting(t *testing.T) {
	for name, before := range map[string]int{"few": 5, "many": 2000} {
		t.Run(name, func(t *testing.T) {
			feedBubble(t, func(t *testing.T, f *feedReader) {
				var begun []time.Time
				for range 8 {
					begun = append(begun, time.Now())
					f.commit(before/4, time.Now())
					time.Sleep(time.Second)
					f.read()
				}
				f.take()
				for _, at := range begun[1:7] { // less than CommitDeadline ago
					late := f.commit(1, at.Add(300*time.Millisecond))
					f.read()
					told, reads := f.take()
					require.Equal(t, []string{late}, told)
					require.LessOrEqual(t, reads, before/2+30, "the part in which it is, and not all")
				}
			})
		})
	}
}

// What another reader has committed since the read of the head does not make up
// for what that read has missed.
func TestWhatTheListenerTellsMeanwhileStandsForNothingElse(t *testing.T) {
	feedBubble(t, func(t *testing.T, f *feedReader) {
		at := time.Now()
		f.commit(10, at)
		time.Sleep(2 * time.Second)
		f.read()
		f.take()
		missed := f.commit(1, at)
		f.around = func(c *docdbtest.Call, do func() error) error {
			err := do()
			if c.Method == "Get" { // the head has been read: this is committed after it, and told
				f.around = nil
				name := f.commit(1, at)
				f.cursor.Tell(ownership.FeedEntry{ID: name, At: at})
			}
			return err
		}
		f.read()
		told, _ := f.take()
		require.Contains(t, told, missed)
	})
}

func TestAReaderThatIsHoursBehindReadsOnInPagesAlsoIfItIsCutShort(t *testing.T) {
	feedBubble(t, func(t *testing.T, f *feedReader) {
		const hours, each = 10, 1000
		for range hours * 60 {
			f.commit(each/60+1, time.Now())
			time.Sleep(time.Minute)
		}
		visited := 0
		f.around = func(c *docdbtest.Call, do func() error) error {
			left, visit := 1500, c.Visit
			if c.Method == "Query" && c.Query.Collection == regstore.FeedCollection {
				c.Visit = func(d *docdb.Document) error {
					if left--; left < 0 {
						return status.Error(codes.DeadlineExceeded, "cut short")
					}
					visited++
					return visit(d)
				}
			}
			return do()
		}
		tries := 1
		for {
			batch, err := f.store.Changes(t.Context(), f.cursor)
			require.False(t, batch.Missed)
			if err == nil {
				break
			}
			require.Less(t, tries, 100)
			tries++
		}
		told, _ := f.take()
		require.Len(t, told, f.n, "each of them once")
		require.Greater(t, tries, 5)
		require.Less(t, visited, f.n+tries*200, "each try goes on where the one before was cut short")
	})
}

// Whatever comes late, is told by a listener, or is cut short: when a read says that
// it has told all, it has.
func TestNothingIsLeftUntoldWhateverIsCountedAndReadAndHeard(t *testing.T) {
	for seed := range uint64(25) {
		synctest.Test(t, func(t *testing.T) { searchFeed(t, rand.New(rand.NewPCG(seed, 21))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func searchFeed(t *testing.T, random *rand.Rand) {
	f := newFeedReader(t)
	f.take()
	told := map[string]bool{}
	committed := []string{}
	rate := 1 << random.IntN(6)
	var one sync.Mutex // what is counted and read at the same time takes turns
	f.around = func(c *docdbtest.Call, do func() error) error {
		one.Lock()
		defer one.Unlock()
		if c.Query.Collection == regstore.FeedCollection && random.IntN(6) == 0 {
			if visit, left := c.Visit, random.IntN(300); c.Method == "Query" {
				c.Visit = func(d *docdb.Document) error {
					if left--; left < 0 {
						return status.Error(codes.Unavailable, "cut short")
					}
					return visit(d)
				}
			} else {
				return status.Error(codes.Unavailable, "no count")
			}
		}
		err := do()
		for range random.IntN(3) {
			committed = append(committed, f.step(random, rate))
		}
		return err
	}
	for range 40 {
		for range random.IntN(8) {
			committed = append(committed, f.step(random, rate))
		}
		f.cursor.Hear(random.IntN(2) == 0)
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		one.Lock()
		acknowledged := slices.Clone(committed)
		one.Unlock()
		_, err := f.store.Changes(t.Context(), f.cursor)
		names, _ := f.take()
		for _, name := range names {
			told[name] = true
		}
		if err != nil {
			continue
		}
		for _, name := range acknowledged {
			if !told[name] {
				t.Errorf("%s was acknowledged before a read, and is not told after it", name)
				return
			}
		}
	}
}

// step commits some entries, of times within a commit's deadline, and has some of
// them told as a listener would. It returns the name of the last one.
func (f *feedReader) step(random *rand.Rand, rate int) string {
	at := time.Now()
	if random.IntN(3) == 0 {
		at = at.Add(-time.Duration(random.Int64N(int64(10 * time.Second))))
	}
	var writes []docdb.Write
	for range 1 + random.IntN(rate) {
		writes = append(writes, f.entry(at))
	}
	if _, err := f.db.Commit(f.t.Context(), writes...); err != nil {
		f.t.Error(err)
	}
	for _, w := range writes {
		if random.IntN(4) > 0 {
			f.cursor.Tell(ownership.FeedEntry{ID: path.Base(w.Name), At: at})
		}
	}
	return path.Base(writes[len(writes)-1].Name)
}
