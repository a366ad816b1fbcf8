package capacity

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// metered is a database in memory whose bill is counted, by the rules of
// https://cloud.google.com/firestore/pricing: a read for each document that is asked
// for, one for each that a query returns, at least one, one for each 1,000 that are
// counted, and a write for each of a commit.
type metered struct {
	docdb.DB

	mu                     sync.Mutex
	reads, writes, deletes float64
}

func newMetered() *metered {
	m := &metered{}
	m.DB = docdbtest.Around(memdb.New(time.Now), m.around)
	return m
}

func (m *metered) around(c *docdbtest.Call, do func() error) error {
	found, visit := 0, c.Visit
	c.Visit = func(d *docdb.Document) error { found++; return visit(d) }
	err := do()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch c.Method {
	case "Get":
		m.reads += float64(len(c.Names))
	case "Query":
		m.reads += float64(max(1, found))
	case "Count", "Sum":
		m.reads += float64(max(1, (c.Counted+999)/1000))
	case "Commit", "BatchWrite":
		for _, w := range c.Writes {
			if w.Delete {
				m.deletes++
			} else {
				m.writes++
			}
		}
	}
	return err
}

// take returns what was billed since it was last called.
func (m *metered) take() (reads, writes, deletes float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reads, writes, deletes = m.reads, m.writes, m.deletes
	m.reads, m.writes, m.deletes = 0, 0, 0
	return reads, writes, deletes
}

func (m *metered) registry(t *testing.T) *regstore.Store {
	t.Helper()
	s, err := regstore.Open(t.Context(), m.DB, regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	return s
}

// aDay is the rate a day at which there is one in a month.
const aDay = 1 / month

func exampleCreation(id string) ownership.Change {
	at, _ := time.Parse(time.RFC3339Nano, exampleTime)
	return ownership.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: id},
		Entry:    ownership.Entry{Type: ownership.Created, Tenant: exampleTenant, Version: ownership.Version{Time: at, Source: exampleSource, ID: exampleID}},
	}
}

func apply(t *testing.T, s *regstore.Store, changes ...ownership.Change) {
	t.Helper()
	for _, o := range s.Apply(t.Context(), changes) {
		require.NoError(t, o.Err)
		require.Equal(t, ownership.Applied, o.Kind)
	}
}

func TestAnAccessCheckIsBilledAsItsLineSays(t *testing.T) {
	m := newMetered()
	s := m.registry(t)
	apply(t, s, exampleCreation(exampleThread))
	v, err := verifier.New(s, verifier.Options{})
	require.NoError(t, err)
	defer v.Close()
	const checks = 10
	m.take()
	for range checks {
		require.NoError(t, v.VerifyThreadAccess(t.Context(), exampleTenant, exampleThread))
	}
	reads, writes, _ := m.take()
	l := line(t, Parameters{Checks: checks / (month * day)}, "access checks")
	require.InDelta(t, l.Reads, reads, 0.001)
	require.InDelta(t, l.Writes, writes, 0.001)
}

// A tenant is moved, and then its documents are rewritten: what the job itself
// takes beside them is less than a hundredth.
func TestAMoveOfATenantIsBilledAsItsLineSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const documents = 5000
		m := newMetered()
		s := m.registry(t)
		for i := range documents {
			apply(t, s, exampleCreation(fmt.Sprint("th_", i)))
		}
		m.take()
		apply(t, s, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: exampleTenant, To: "t_other",
			Version: ownership.Version{Time: exampleCreation("").Entry.Version.Time.Add(time.Hour), Source: exampleSource, ID: "move"}}})
		reads, writes, _ := m.take()
		l := line(t, Parameters{TenantMoves: aDay}, "moves of tenants")
		require.InDelta(t, l.Reads, reads, 0.001, "the move alone")
		require.InDelta(t, l.Writes, writes, 0.001, "the move alone")

		worker, err := rewrite.New(m.registry(t), rewrite.Options{Rate: governor.Unlimited})
		require.NoError(t, err)
		m.take()
		require.NoError(t, worker.RunPending(t.Context()))
		more, written, _ := m.take()
		l = line(t, Parameters{Tenants: 1, Resources: documents, TenantMoves: aDay}, "moves of tenants")
		t.Logf("%d documents: %.0f reads, %.0f writes; the line says at most %.0f and %.0f", documents, reads+more, writes+written, l.Reads, l.Writes)
		require.LessOrEqual(t, reads+more, l.Reads*1.01)
		require.InEpsilon(t, l.Writes, writes+written, 0.01)
	})
}

// A worker that is busy: it folds with a ledger of up to 5 s ago.
func TestAWorkerIsBilledAsItsLineSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const minutes = 60
		m := newMetered()
		s := m.registry(t)
		apply(t, s, exampleCreation("th_first"))
		worker, err := rewrite.New(s, rewrite.Options{})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { worker.Run(ctx) })
		m.take()
		for second := range minutes * 60 {
			apply(t, s, exampleCreation(fmt.Sprint("th_", second))) // which alone costs no read
			if second%10 == 0 {                                     // registry.store.up
				_, err := s.Read(t.Context(), nil)
				require.NoError(t, err)
			}
			time.Sleep(time.Second)
		}
		reads, _, _ := m.take()
		stop()
		done.Wait()
		l := line(t, Parameters{Workers: minutes / (24 * 60 * month)}, "workers, idle or not")
		t.Logf("%.0f reads an hour; the line says %.0f", reads, l.Reads)
		require.LessOrEqual(t, reads, l.Reads*1.01)
		require.Greater(t, reads, l.Reads*0.7)
	})
}

func TestADocumentIsStoredAsLargeAsThePageSays(t *testing.T) {
	m := newMetered()
	apply(t, m.registry(t), exampleCreation(exampleThread))
	name := m.Name("realtime_registry", registry.Resource{Kind: registry.Thread, ID: exampleThread}.DocumentID())
	found, _, err := m.Get(t.Context(), []string{name})
	require.NoError(t, err)
	size := nameSize() + 32 + sizeOf(found[name].GetFields()) + indexEntry("tenant_id") + indexEntry("path")
	require.InEpsilon(t, size, DocumentBytes(), 0.001)
}

// sizeOf is what fields take, by https://firebase.google.com/docs/firestore/storage-size.
func sizeOf(fields map[string]*firestorepb.Value) (bytes float64) {
	for name, v := range fields {
		bytes += text(name) + sizeOfValue(v)
	}
	return bytes
}

func sizeOfValue(v *firestorepb.Value) (bytes float64) {
	switch v := v.GetValueType().(type) {
	case *firestorepb.Value_StringValue:
		return text(v.StringValue)
	case *firestorepb.Value_BytesValue:
		return float64(len(v.BytesValue))
	case *firestorepb.Value_NullValue, *firestorepb.Value_BooleanValue:
		return 1
	case *firestorepb.Value_MapValue:
		return 32 + sizeOf(v.MapValue.GetFields())
	case *firestorepb.Value_ArrayValue:
		for _, e := range v.ArrayValue.GetValues() {
			bytes += sizeOfValue(e)
		}
		return bytes
	}
	return 8 // a number or a time
}

func TestTheLedgerTakesWhatThePageSays(t *testing.T) {
	const moves = 100_000
	entries := make([]ownership.LedgerEntry, moves)
	for i := range entries {
		entries[i] = ownership.LedgerEntry{
			Version: ownership.Version{Time: time.Unix(1.7e9, int64(i)), Source: exampleSource, ID: fmt.Sprintf("01234567-89ab-cdef-0123-%012d", i)},
			From:    fmt.Sprintf("t_%010d", i), To: fmt.Sprintf("t_%010d", moves+i), Position: int64(i + 1),
		}
	}
	before := heap()
	l := ownership.NewLedger(moves, entries)
	each := float64(heap()-before) / moves
	t.Logf("%.0f bytes a move", each)
	require.LessOrEqual(t, each, ledgerBytes)
	require.Greater(t, each, ledgerBytes/2, "else the page promises too much")
	runtime.KeepAlive(entries)
	runtime.KeepAlive(l)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heldBy names the tests that count what each line of the bill says.
var heldBy = map[string][]string{
	"creations":                               {"TestWhatACreateAndADuplicateCost", "TestWhatEventsCost"},
	"claims and their events":                 {"TestAClaimAndItsEventCostTwoReadsAndOneWrite"},
	"the registry's log":                      {"TestTheRegistrysLogIsBilledAsItsLineSays", "TestWhatAClaimCostsInARegistryWithALog"},
	"deliveries that repeat":                  {"TestWhatACreateAndADuplicateCost", "TestWhatEventsCost"},
	"moves of resources":                      {"TestWhatAMoveCosts", "TestWhatEventsCost"},
	"moves of tenants":                        {"TestAMoveOfATenantIsBilledAsItsLineSays", "TestAllMovesOfABatchAreOneCommit"},
	"verifiers that hear of moves":            {"TestWhatFollowingTheFeedCosts"},
	"verifiers that certify":                  {"TestWhatFollowingTheFeedCosts"},
	"open streams, read again":                {"TestWatchingReadsNothingOncePlainSetsAreOver"},
	"access checks":                           {"TestAnAccessCheckIsBilledAsItsLineSays"},
	"throttle":                                {"TestThrottledActionsAreBilledAsTheirLineSays", "TestCostOfAdmitting"},
	"workers, idle or not":                    {"TestAWorkerIsBilledAsItsLineSays"},
	"Firestore, stored":                       {"TestADocumentIsStoredAsLargeAsThePageSays"},
	"Pub/Sub, published and delivered":        {"TestTheMessageIsAsLargeAsARealOne"},
	"Pub/Sub, kept for 7 days to replay":      {"TestTheMessageIsAsLargeAsARealOne"},
	"Pub/Sub, the registry's log for 31 days": {"TestAClaimInTheLogIsAsLargeAsThePageSays"},
}

func TestEachLineOfTheBillIsHeldByATestThatCounts(t *testing.T) {
	found := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			found[name[1]] = true
		}
		return err
	}))
	lines := Defaults().Bill()
	require.Len(t, heldBy, len(lines))
	for _, l := range lines {
		require.NotEmpty(t, heldBy[l.Work], l.Work)
		for _, name := range heldBy[l.Work] {
			require.True(t, found[name], "%s: there is no %s", l.Work, name)
		}
	}
}
