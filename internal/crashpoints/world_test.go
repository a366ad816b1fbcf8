package crashpoints_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// world is a database with a registry, and what outlives processes.
type world struct {
	*testing.T
	db    *memdb.DB
	truth *regstore.Store
}

// options are those of all processes: a snapshot of the ledger is due at every change.
var options = regstore.Options{LedgerRate: 1e6, SnapshotEvery: 1, ChunkBytes: 1, Chance: func() float64 { return 0.5 }}

func newWorld(t *testing.T) *world {
	w := &world{T: t, db: memdb.New(time.Now)}
	w.truth = w.open(crashpoints.New(crashpoints.Never))
	return w
}

// open returns the registry as a process has it; nil if the process was killed first.
func (w *world) open(p *crashpoints.Process) *regstore.Store {
	s, err := regstore.Open(p.Context(), p.DB(w.db), options)
	if err != nil {
		w.requireKilled(p, err)
		return nil
	}
	return s
}

// requireKilled holds that nothing went wrong except that the process was killed.
func (w *world) requireKilled(p *crashpoints.Process, err error) {
	w.Helper()
	if err != nil {
		require.Error(w, p.Context().Err(), "%v", err)
	}
}

// apply applies changes, as they were before.
func (w *world) apply(changes ...ownership.Change) {
	w.Helper()
	for _, o := range w.truth.Apply(w.Context(), changes) {
		require.NoError(w, o.Err)
	}
}

// scenario is something that a process does, and may be killed in.
type scenario struct {
	name string
	// before makes what is there before it.
	before func(w *world)
	// do is the process, from its start to its end. It is called until it is not
	// killed: what it was about is tried again, as it would be after a restart.
	do func(w *world, p *crashpoints.Process)
	// holds is what else must be so at the end.
	holds func(w *world)
	// unreadable: no reader of this release is there before the end.
	unreadable bool
}

// run enumerates the points at which the process of a scenario may be killed. After
// each, the registry must come to the same end as without: every effect once.
func (s scenario) run(t *testing.T) (points int) {
	var want string
	var effects []string
	trial(t, s, crashpoints.Never, func(w *world, p *crashpoints.Process) {
		want, effects = w.describe(), p.Effects()
	})
	points = crashpoints.Enumerate(func(at crashpoints.Point) (reached bool) {
		trial(t, s, at, func(w *world, p *crashpoints.Process) {
			var where string
			where, reached = p.Reached()
			require.Equal(w, want, w.describe(), "killed after %v: %s", at, where)
		})
		return reached
	})
	require.GreaterOrEqual(t, points, len(effects), "without a kill: %q", effects)
	return points
}

// trial runs a scenario with one process that ends at a point, and then with others as
// long as it takes.
func trial(t *testing.T, s scenario, at crashpoints.Point, judge func(*world, *crashpoints.Process)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if s.before != nil {
			s.before(w)
		}
		cached := cached{}
		if !s.unreadable {
			cached = w.warm()
		}
		first := crashpoints.New(at)
		for p := first; ; p = crashpoints.New(crashpoints.Never) {
			s.do(w, p)
			_, killed := p.Reached()
			p.End()
			if !killed {
				break
			}
			if !s.unreadable {
				cached.requireFresh(w, at)
				w.requireExplained(at)
			}
			time.Sleep(time.Minute) // leases end
		}
		w.rewrite(crashpoints.New(crashpoints.Never))
		if !s.unreadable {
			cached.requireFresh(w, at)
			cached.Close()
		}
		if s.holds != nil {
			s.holds(w)
		}
		judge(w, first)
		time.Sleep(time.Minute) // what waits for something in vain gives up
	})
}

// rewrite does all jobs that are pending.
func (w *world) rewrite(p *crashpoints.Process) {
	store := w.open(p)
	if store == nil {
		return
	}
	for p.Context().Err() == nil {
		worker, err := rewrite.New(store, rewrite.Options{Holder: fmt.Sprintf("%p", p), Page: 2, AtOnce: 2, Rate: governor.Unlimited})
		require.NoError(w, err)
		if worker.RunPending(p.Context()); !w.pending() {
			return
		}
		time.Sleep(time.Second)
	}
}

func (w *world) moves() []ownership.LedgerEntry {
	moves, err := w.truth.Moves(context.Background())
	require.NoError(w, err)
	return moves
}

func (w *world) pending() bool {
	return slices.ContainsFunc(w.moves(), func(m ownership.LedgerEntry) bool { return m.Rewriting.Pending() })
}

// requireExplained holds, between a kill and the restart, that readers of the documents
// alone see another owner than the fold's only as long as a job says that it will
// rewrite them.
func (w *world) requireExplained(at crashpoints.Point) {
	if w.pending() {
		return
	}
	require.NoError(w, w.truth.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		require.Equal(w, r.History.Owner(l), r.TenantID, "%s, after %v, and no job is pending", r.Document, at)
		return nil
	}))
}

// backup returns a function that restores all documents of the registry as they are now.
func (w *world) backup() (restore func()) { return storetest.Outside{DB: w.db}.Backup() }

// byChance are the names that an erasure makes of a random key.
var byChance = regexp.MustCompile(`(t_erased-|erased/)[0-9a-f]{32}(/[0-9a-f]{32})?`)

// describe says what is stored, except times and names that differ from run to run.
func (w *world) describe() string {
	var b strings.Builder
	entry := func(e ownership.Entry) string {
		text := fmt.Sprintf("%s %s/%s %s%s→%s", e.Type, e.Source, e.ID, e.Tenant, e.From, e.To)
		if e.Type != ownership.Claimed && e.Type != ownership.Deleted { // whose time may be that of a commit
			text += e.Time.Format(" 15:04:05.000")
		}
		return text
	}
	require.NoError(w, w.truth.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		owner, err := r.Owner(l)
		require.NoError(w, err)
		require.Equal(w, owner, r.TenantID, "%s: what direct readers see", r.Document)
		if !r.Plain { // other programs know no path
			require.Equal(w, r.History.Path(l), r.Path, r.Document)
		}
		fmt.Fprintf(&b, "%s: %s by %v\n", r.Document, owner, r.Path)
		for _, e := range r.History {
			fmt.Fprintln(&b, " ", entry(e))
		}
		for _, e := range r.Displaced {
			fmt.Fprintln(&b, "  displaced:", entry(e))
		}
		return nil
	}))
	for _, m := range w.moves() {
		fmt.Fprintf(&b, "move %s/%s %s→%s %s %v, displaced %d\n", m.Source, m.ID, m.From, m.To, m.Rewriting.State, m.Retracted(), len(m.Displaced))
		for _, said := range m.Retractions {
			fmt.Fprintln(&b, "  retracted by", said.By, said.Why)
		}
	}
	return byChance.ReplaceAllString(b.String(), "$1")
}

// cached is a transport that has all answers in memory from before.
type cached struct {
	*verifier.Verifier
	owners map[registry.Resource]string
}

const maxStaleness = 2 * time.Second

func (w *world) warm() cached {
	store := w.open(crashpoints.New(crashpoints.Never))
	v, err := verifier.New(store, verifier.Options{MaxStaleness: maxStaleness})
	require.NoError(w, err)
	c := cached{v, w.owners()}
	for r, owner := range c.owners {
		if owner != "" {
			require.NoError(w, v.Verify(w.Context(), owner, r))
		}
	}
	return c
}

func (w *world) owners() map[registry.Resource]string {
	owners := map[registry.Resource]string{}
	require.NoError(w, w.truth.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		owners[r.Resource] = r.History.Owner(l)
		return nil
	}))
	return owners
}

// requireFresh holds that MaxStaleness after whatever has happened no answer is from
// before it, though nobody who was killed has told anything.
func (c cached) requireFresh(w *world, at crashpoints.Point) {
	time.Sleep(maxStaleness + time.Millisecond)
	now := w.owners()
	for r, before := range c.owners {
		if before != "" && before != now[r] {
			require.ErrorIs(w, c.Verify(w.Context(), before, r), registry.ErrNotFound, "%s still has %s, after %v", before, r, at)
		}
		if now[r] != "" {
			require.NoError(w, c.Verify(w.Context(), now[r], r))
		}
	}
}

// changes are those of events.
func changesOf(t *testing.T, all ...event) (changes []ownership.Change) {
	for _, e := range all {
		changes = append(changes, handlers.Changes(e.Event)...)
	}
	return changes
}
