package verifier_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

var traceFolder = flag.String("real-trace", "", "folder with a trace: *.events.ndjson.gz, and *.accesses.csv.gz of unix_seconds,thread_id")

// moment is an event or, if there is none, an access.
type moment struct {
	at     time.Time
	event  *events.Event
	thread string
}

// TestReadsOfARealTrace replays a trace, its events among its accesses in the
// order of time, each access by the thread's owner, and counts what is read. A
// service without a cache reads a document for each access.
func TestReadsOfARealTrace(t *testing.T) {
	if *traceFolder == "" {
		t.Skip("-real-trace names no folder with a trace")
	}
	trace := loadTrace(t, *traceFolder)
	options := verifier.Options{MaxStaleness: 2 * time.Second, MaxAge: verifier.Unbounded}

	replayTrace(t, "MaxAge off, as fast as it goes", trace, options, nil)
	// A thousand times its own pace is a few checks a second: the trace's own is one
	// in four minutes, at which no process need keep anything.
	paced := func(name string, options verifier.Options) {
		synctest.Test(t, func(t *testing.T) {
			replayTrace(t, name, trace, options, func(passed time.Duration) { time.Sleep(passed / 1000) })
		})
	}
	paced("MaxAge off, 1,000 times its own pace", options)
	options.MaxAge = 30 * time.Second
	paced("MaxAge 30s, 1,000 times its own pace", options)
}

func replayTrace(t *testing.T, name string, trace []moment, options verifier.Options, pause func(time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := &countingStore{Store: memregistry.New()}
	v, err := verifier.New(store, options)
	must(t, err)
	t.Cleanup(v.Close)
	owners, checks := map[string]string{}, 0
	previous := trace[0].at
	for _, m := range trace {
		if pause != nil && m.at.After(previous) {
			pause(m.at.Sub(previous))
		}
		previous = m.at
		if m.event != nil {
			for _, o := range store.Apply(ctx, handlers.Changes(*m.event)) {
				if o.Kind == ownership.Failed {
					t.Fatal(o.Err)
				}
			}
			follow(owners, *m.event)
			continue
		}
		owner, ok := owners[m.thread]
		if !ok {
			t.Fatalf("%s: nobody's", m.thread)
		}
		checks++
		// The answer after a move is that of at most MaxStaleness ago.
		if err := v.VerifyThreadAccess(ctx, owner, m.thread); err != nil {
			t.Fatalf("%s by %s at %v: %v", m.thread, owner, m.at, err)
		}
	}
	if pause == nil && float64(store.documents.Load()) > .06*float64(checks) {
		t.Errorf("%d documents read for %d checks: more than 0.06 each", store.documents.Load(), checks)
	}
	per := func(n *atomic.Int64) float64 { return float64(n.Load()) / float64(checks) }
	t.Logf("%s: %d checks; reads per check: %.4f of documents, %.4f of the feed",
		name, checks, per(&store.documents), per(&store.confirming))
}

func follow(owners map[string]string, e events.Event) {
	switch data := e.Data.(type) {
	case events.ThreadCreated:
		owners[data.ThreadID] = data.TenantID
	case events.TenantMoved:
		for _, r := range data.Resources {
			if owners[r.ID] == data.FromTenantID {
				owners[r.ID] = data.ToTenantID
			}
		}
	}
}

// countingStore counts what is read of it.
type countingStore struct {
	*memregistry.Store
	documents, confirming atomic.Int64
}

func (s *countingStore) Read(ctx context.Context, resources []registry.Resource) (ownership.Snapshot, error) {
	s.documents.Add(int64(len(resources)))
	return s.Store.Read(ctx, resources)
}

// Changes costs two reads if nothing has changed: the ledger's head and the
// feed, each billed for at least one.
func (s *countingStore) Changes(ctx context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	batch, err := s.Store.Changes(ctx, cursor)
	s.confirming.Add(int64(1 + max(1, cursor.Told())))
	return batch, err
}

func loadTrace(t *testing.T, folder string) []moment {
	t.Helper()
	var all, accesses []moment
	reader, err := archive.Open([]string{only(t, folder, "*.events.ndjson.gz")}, nil)
	must(t, err)
	for line, err := range reader.Lines(t.Context()) {
		must(t, err)
		e, err := archived.Decode(line.Text, time.Now())
		must(t, err)
		all = append(all, moment{at: e.Time, event: &e})
	}
	file, err := os.Open(only(t, folder, "*.accesses.csv.gz"))
	must(t, err)
	defer file.Close()
	text, err := gzip.NewReader(file)
	must(t, err)
	for lines := bufio.NewScanner(text); lines.Scan(); {
		seconds, thread, _ := strings.Cut(lines.Text(), ",")
		if at, err := strconv.ParseInt(seconds, 10, 64); err == nil { // else it is the heading
			accesses = append(accesses, moment{at: time.Unix(at, 0), thread: thread})
		}
	}
	// Both are in the order of time; an event comes before the accesses of its second.
	merged := make([]moment, 0, len(all)+len(accesses))
	for _, access := range accesses {
		for len(all) > 0 && !all[0].at.After(access.at) {
			merged, all = append(merged, all[0]), all[1:]
		}
		merged = append(merged, access)
	}
	return append(merged, all...)
}

func only(t *testing.T, folder, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s: want one file %s, found %d", folder, pattern, len(found))
	}
	return found[0]
}
