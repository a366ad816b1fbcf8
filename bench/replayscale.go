package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/replay"
)

const (
	replayedMoves = 200_000
	warmingMoves  = 50_000 // that an emulator has seen before it is measured
	replayTakes   = time.Minute
)

// scaleReplay measures how long an archive of moves of whole tenants takes to be
// replayed without a rate: in memory, which is the program's own part; on the
// emulator; and there for a client that makes the same commits, one after the other,
// and nothing else.
func (b *bench) scaleReplay(ctx context.Context) (result scaled, err error) {
	inMemory := memdb.New(time.Now)
	memory, err := replayed(ctx, inMemory, replayedMoves)
	if err != nil {
		return result, err
	}
	written, started, err := snapshotOf(ctx, inMemory, replayedMoves)
	if err != nil {
		return result, err
	}
	b.say("replay  %d moves in memory: %v; a snapshot of them: written in %v, a start from it %v", replayedMoves, memory, written, started)
	if err := warmReplay(ctx); err != nil {
		return result, err
	}
	project := fmt.Sprintf("bench-%08x", rand.Uint32())
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: project})
	if err != nil {
		return result, err
	}
	defer db.Close()
	var commits ledgerCommits
	emulator, err := replayed(ctx, commits.around(db), replayedMoves)
	if err != nil {
		return result, err
	}
	if len(commits.all) != replayedMoves/500 {
		return result, fmt.Errorf("%d moves were replayed in %d commits, not in commits of 500", replayedMoves, len(commits.all))
	}
	b.say("replay  %d moves on the emulator: %v, in %d commits", replayedMoves, emulator, len(commits.all))
	bare, err := commits.again(ctx, project)
	if err != nil {
		return result, err
	}
	b.say("replay  the same commits by a client that does nothing else: %v", bare)
	perSecond := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(len(commits.all))/d.Seconds()) }
	result.tables = []table{{title: "200,000 moves of whole tenants replayed", header: []string{"", "takes", "commits of 500 moves/s"}, rows: [][]string{
		{"in memory", memory.Round(100 * time.Millisecond).String(), fmt.Sprintf("%.1f", replayedMoves/500/memory.Seconds())},
		{"emulator", emulator.Round(time.Second).String(), perSecond(emulator)},
		{"emulator, the same commits by a client that does nothing else", bare.Round(time.Second).String(), perSecond(bare)},
	}, notes: []string{
		fmt.Sprintf("In memory a worker then wrote a snapshot of them, whose count and sum it compared with what is stored, in %v; a start from it knew all %s after %v.",
			written.Round(time.Millisecond), grouped(replayedMoves), started.Round(time.Millisecond)),
		fmt.Sprintf("Without a rate. Each commit is 501 documents of which the head is one, so one waits for the other; the client reads the same documents before each. The emulator had replayed %s others before, in a database of their own: it compiles as it goes.", grouped(warmingMoves)),
	}}}
	result.rows = []scaleRow{
		{"200,000 moves of whole tenants replayed, in memory", "", "≤ " + replayTakes.String(), memory.Round(100 * time.Millisecond).String(), memory <= replayTakes},
		{"the same, emulator", "30,000: more than 8 min", "≤ " + replayTakes.String() + ", or the emulator's own time for such commits + 25 %",
			emulator.Round(time.Second).String() + ", the emulator's own " + bare.Round(time.Second).String(), emulator <= max(replayTakes, bare*5/4)},
	}
	return result, nil
}

// warmReplay replays the same moves in a project of its own: an emulator that has
// just begun compiles as it goes.
func warmReplay(ctx context.Context) error {
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: fmt.Sprintf("bench-%08x", rand.Uint32())})
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = replayed(ctx, db, warmingMoves)
	return err
}

// replayed is how long n moves take.
func replayed(ctx context.Context, db docdb.DB, n int) (time.Duration, error) {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%036d","source":"//nexus","type":"nexus.tenant.moved.v1","time":%q,"data":{"from_tenant_id":"t_a%09d","to_tenant_id":"t_b%09d"}}`+"\n",
			i, epoch.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i, i)
	}
	files, err := archive.Open([]string{"-"}, strings.NewReader(lines.String()))
	if err != nil {
		return 0, err
	}
	store, err := regstore.Open(ctx, shared{db}, regstore.Options{LedgerRate: 1e6}) // as replay --rate unlimited does
	if err != nil {
		return 0, err
	}
	defer store.Close()
	began := time.Now()
	counts, err := replay.Run(ctx, store, files, replay.Options{Rate: governor.Unlimited})
	if err == nil && counts.Total() != n {
		err = fmt.Errorf("%d lines of %d were replayed", counts.Total(), n)
	}
	return time.Since(began), err
}

// snapshotOf has a worker write a snapshot of n moves, and starts from it. The error
// says that the start did not know all of them, or read them one by one: what is behind the
// snapshot is few.
func snapshotOf(ctx context.Context, db docdb.DB, n int) (written, started time.Duration, err error) {
	worker, err := regstore.Open(ctx, shared{db}, regstore.Options{})
	if err != nil {
		return 0, 0, err
	}
	defer worker.Close()
	began := time.Now()
	if ok, err := worker.WriteSnapshot(ctx, "bench"); err != nil || !ok {
		return 0, 0, fmt.Errorf("a snapshot was written: %v: %w", ok, err)
	}
	written, began = time.Since(began), time.Now()
	entries := 0
	store, err := regstore.Open(ctx, docdbtest.Around(shared{db}, func(c *docdbtest.Call, do func() error) error {
		if visit := c.Visit; c.Method == "Query" && c.Query.OrderBy == "seq" {
			c.Visit = func(d *docdb.Document) error { entries++; return visit(d) }
		}
		return do()
	}), regstore.Options{})
	if err != nil {
		return 0, 0, err
	}
	defer store.Close()
	started = time.Since(began)
	snapshot, err := store.Read(ctx, nil)
	if err == nil && (snapshot.Ledger.Len() != n || entries > 10) {
		err = fmt.Errorf("a start from a snapshot of %d moves knows %d, and read %d of them by itself", n, snapshot.Ledger.Len(), entries)
	}
	return written, started, err
}

// ledgerCommits are commits to the ledger, as they were made.
type ledgerCommits struct {
	mu  sync.Mutex
	all [][]docdb.Write
}

func (l *ledgerCommits) around(db docdb.DB) docdb.DB {
	return docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		err := do()
		if c.Method == "Commit" && len(c.Writes) > 100 && err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.all = append(l.all, c.Writes)
		}
		return err
	})
}

// again makes the same commits in a project of its own, each after a read of its
// documents, and returns how long that took.
func (l *ledgerCommits) again(ctx context.Context, project string) (time.Duration, error) {
	other := fmt.Sprintf("bench-%08x", rand.Uint32())
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: other})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	began := time.Now()
	for _, writes := range l.all {
		names := make([]string, len(writes))
		writes = append([]docdb.Write{}, writes...)
		for i, w := range writes {
			names[i] = strings.Replace(w.Name, project, other, 1)
			writes[i].Name = names[i]
			if !w.If.Updated.IsZero() {
				writes[i].If = docdb.Condition{} // the head's, which is another one here
			}
		}
		if _, _, err := db.Get(ctx, names); err != nil {
			return 0, err
		}
		if _, err := db.Commit(ctx, writes...); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
