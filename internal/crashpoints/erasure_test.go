package crashpoints_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

const leaver = "t_left"

// aLeaver makes what a registry has of a tenant that leaves: what it owns, what it had,
// moves of whole tenants, one of which has its name in its id and one is retracted; a
// window, and what an operator wrote. The registry has a log, to which all was published.
func aLeaver(w *world) {
	_, _, err := w.truth.BeginLog(w.Context())
	require.NoError(w, err)
	w.apply(changesOf(w.T, thread(1, leaver, "given"), thread(2, leaver, "own"), thread(3, leaver, "too"), thread(4, "t_b", "other"), thread(5, "t_old", "got"))...)
	w.apply(changesOf(w.T, moved(9, "given", leaver, "t_b", "given"), moved(10, "idle", leaver, "t_c", "other"))...)
	w.apply(changesOf(w.T, moved(11, "to", "t_old", leaver), moved(12, "of", "t_b", "t_c"), moved(13, "back", leaver, "t_d"), moved(0, "of-"+leaver, leaver, "t_d"))...)
	w.apply(retraction("back"))
	w.claimed(leaver, "claimed")
	w.rewrite(crashpoints.New(crashpoints.Never))
	for name, fields := range map[string]map[string]*docdb.Value{
		w.db.Name("windows", leaver+"__chat_send"): {"count": docdb.Integer(1)},
		w.db.Name("texts", "1"):                    {"comment": docdb.Text("letters of " + leaver)},
	} {
		_, err := w.db.Commit(w.Context(), docdb.Write{Name: name, Fields: fields})
		require.NoError(w, err)
	}
	require.NotEmpty(w, w.sweep())
}

// sweep publishes what waits for the log, and returns it.
func (w *world) sweep() (all []ownership.Logged) {
	time.Sleep(2 * ownership.OutboxPatience)
	_, err := w.truth.SweepOutbox(w.Context(), "sweeper", func(_ context.Context, page []ownership.Logged) error {
		all = append(all, page...)
		return nil
	})
	require.NoError(w, err)
	return all
}

func eraser(w *world, store *regstore.Store, p *crashpoints.Process) erasure.Eraser {
	return erasure.Eraser{
		Store: store, DB: p.DB(w.db), Rate: governor.Unlimited,
		Windows: []string{"windows"}, Texts: []string{"texts"}, Others: []string{regstore.OutboxCollection},
	}
}

func TestAnErasureThatIsKilledAtAnyPointIsDoneOnceAfterAll(t *testing.T) {
	points := scenario{
		before: aLeaver,
		do: func(w *world, p *crashpoints.Process) {
			store := w.open(p)
			if store == nil {
				return
			}
			_, err := eraser(w, store, p).Run(p.Context(), leaver, "operator", "why")
			if errors.Is(err, erasure.ErrPending) { // an operator waits for it
				w.rewrite(crashpoints.New(crashpoints.Never))
				_, err = eraser(w, store, p).Run(p.Context(), leaver, "operator", "why")
			}
			w.requireKilled(p, err)
		},
		holds: func(w *world) {
			w.requireNameless()
			w.requireLogged()
		},
	}.run(t)
	require.GreaterOrEqual(t, points, 20, "of each step")
	t.Logf("%d points", points)
}

// requireNameless holds that nothing names the leaver, that its window is gone, and that
// who had something of it has it still.
func (w *world) requireNameless() {
	for _, c := range []string{regstore.Collection, regstore.LedgerCollection, regstore.FeedCollection, regstore.OutboxCollection, "windows", "texts"} {
		require.NoError(w, w.db.Query(w.Context(), docdb.Query{Collection: c}, func(d *docdb.Document) error {
			require.NotContains(w, d.String(), leaver)
			return nil
		}))
	}
	owners := w.owners()
	for id, tenant := range map[string]string{"given": "t_c", "other": "t_c", "own": "", "too": "", "got": "", "claimed": ""} {
		require.Equal(w, tenant, owners[registry.Resource{Kind: registry.Thread, ID: id}], id)
	}
}

// requireLogged holds that the log got what an erasure says, without the name, and that
// a registry that is made of it knows the erasure.
func (w *world) requireLogged() {
	other := newWorld(w.T)
	for _, l := range w.sweep() {
		said := l.Changes[0].Entry
		require.Equal(w, ownership.Retracted, said.Type)
		require.NotContains(w, said.ID+said.Reason+said.Actor, leaver)
		other.apply(l.Changes...)
	}
	now, err := other.open(crashpoints.New(crashpoints.Never)).Read(w.Context(), nil)
	require.NoError(w, err)
	_, erased := now.Ledger.Pseudonym(leaver)
	require.True(w, erased)
}

// A database is restored to before a move of a whole tenant. What recovers it is killed.
func TestARecoveryThatIsKilledAtAnyPointIsDoneOnceAfterAll(t *testing.T) {
	var before ownership.Epoch
	points := scenario{
		unreadable: true, // who lives through it is in doubt until then
		before: func(w *world) {
			withMoves(w)
			w.rewrite(crashpoints.New(crashpoints.Never))
			restore := w.backup()
			w.apply(changesOf(w.T, moved(22, "lost", "t_c", "t_d"))...)
			restore()
			_, err := w.truth.Read(w.Context(), nil)
			require.ErrorIs(w, err, registry.ErrUnavailable, "it is in doubt")
			before, _, err = w.truth.Epoch(w.Context())
			require.NoError(w, err)
		},
		do: func(w *world, p *crashpoints.Process) {
			if store := w.open(p); store != nil {
				_, _, err := store.Recover(p.Context())
				w.requireKilled(p, err)
			}
		},
		holds: func(w *world) {
			now, exists, err := w.truth.Epoch(w.Context())
			require.NoError(w, err)
			require.True(w, exists)
			require.NotEqual(w, before.Name, now.Name)
			require.Equal(w, before.Position, now.Position, "positions go on")
			_, err = w.truth.Read(w.Context(), nil)
			require.NoError(w, err, "who has lived through it goes on")
		},
	}.run(t)
	require.Positive(t, points)
	t.Logf("%d points", points)
}
