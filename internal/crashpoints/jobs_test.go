package crashpoints_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry"
)

// applying is a process that applies changes until none of them fails.
func applying(changes func(w *world) []ownership.Change) func(*world, *crashpoints.Process) {
	return func(w *world, p *crashpoints.Process) {
		store := w.open(p)
		if store == nil {
			return
		}
		for _, o := range store.Apply(p.Context(), changes(w)) {
			w.requireKilled(p, o.Err)
		}
	}
}

func retraction(id string) ownership.Change {
	return ownership.Retraction(ownership.Version{Time: day.Add(time.Hour), Source: "//nexus", ID: id}, "operator", "why")
}

// moves before each job: two, one of which waits for the other's documents.
func withMoves(w *world) {
	w.apply(changesOf(w.T, append(threads("t_a", 5), threads("t_b", 2)...)...)...)
	w.apply(changesOf(w.T, moved(20, "1", "t_a", "t_b"), moved(21, "2", "t_b", "t_c"))...)
}

// What operators and the background do, at every point of it.
func TestWhateverIsKilledAtAnyPointIsDoneOnceAfterAll(t *testing.T) {
	for _, s := range []scenario{
		{
			name:   "rewriting",
			before: withMoves,
			do:     func(w *world, p *crashpoints.Process) { w.rewrite(p) },
		},
		{
			name: "rewriting after a retraction",
			before: func(w *world) {
				withMoves(w)
				w.rewrite(crashpoints.New(crashpoints.Never))
				w.apply(retraction("1"))
			},
			do: func(w *world, p *crashpoints.Process) { w.rewrite(p) },
		},
		{
			name:   "retracting",
			before: withMoves,
			do:     applying(func(*world) []ownership.Change { return []ownership.Change{retraction("1")} }),
		},
		{
			name:   "retracting what has not come",
			before: func(w *world) { w.apply(changesOf(w.T, threads("t_a", 2)...)...) },
			do: applying(func(w *world) []ownership.Change {
				return append([]ownership.Change{retraction("m")}, changesOf(w.T, moved(9, "m", "t_a", "t_b"))...)
			}),
		},
		{
			name:   "having a parked job tried again",
			before: func(w *world) { withMoves(w); w.park("1") },
			do: func(w *world, p *crashpoints.Process) {
				store := w.open(p)
				if store == nil {
					return
				}
				if err := store.ResumeJob(p.Context(), ownership.EventName{Source: "//nexus", ID: "1"}); !errors.Is(err, ownership.ErrNotParked) {
					w.requireKilled(p, err)
				}
			},
		},
		{
			name:   "a snapshot of the ledger",
			before: withMoves,
			do: func(w *world, p *crashpoints.Process) {
				store := w.open(p)
				if store == nil {
					return
				}
				_, err := store.WriteSnapshot(p.Context(), fmt.Sprintf("%p", p))
				w.requireKilled(p, err)
			},
			holds: (*world).requireWholeStart,
		},
		{
			name: "another snapshot",
			before: func(w *world) {
				withMoves(w)
				_, err := w.truth.WriteSnapshot(w.Context(), "first")
				require.NoError(w, err)
				w.apply(changesOf(w.T, moved(22, "3", "t_c", "t_d"))...)
				time.Sleep(time.Hour)
			},
			do: func(w *world, p *crashpoints.Process) {
				store := w.open(p)
				if store == nil {
					return
				}
				_, err := store.WriteSnapshot(p.Context(), fmt.Sprintf("%p", p))
				w.requireKilled(p, err)
			},
			holds: (*world).requireWholeStart,
		},
		{
			name:   "the end of an upgrade",
			before: withMoves,
			do: func(w *world, p *crashpoints.Process) {
				if store := w.open(p); store != nil {
					_, err := store.Finish(p.Context())
					w.requireKilled(p, err)
				}
			},
		},
		{
			name:   "the end of plain sets",
			before: withMoves,
			do: func(w *world, p *crashpoints.Process) {
				if store := w.open(p); store != nil {
					_, err := store.EndPlainSets(p.Context(), true)
					w.requireKilled(p, err)
				}
			},
			holds: func(w *world) {
				since, err := w.truth.PlainSetsOver(w.Context())
				require.NoError(w, err)
				require.False(w, since.IsZero())
			},
		},
		{
			name: "taking back that plain sets are over",
			before: func(w *world) {
				_, err := w.truth.EndPlainSets(w.Context(), true)
				require.NoError(w, err)
				time.Sleep(time.Minute)
				_, err = w.db.Commit(w.Context(), docdb.Write{Name: w.db.Name(regstore.Collection, "thread__p"), Fields: map[string]*docdb.Value{"tenant_id": docdb.Text("t_p")}})
				require.NoError(w, err)
			},
			unreadable: true, // who reads, takes it back
			do: func(w *world, p *crashpoints.Process) {
				if store := w.open(p); store != nil {
					_, err := store.Read(p.Context(), []registry.Resource{{Kind: registry.Thread, ID: "p"}})
					w.requireKilled(p, err)
					require.NoError(w, store.Close()) // which waits for what is done in the background
				}
			},
			holds: func(w *world) {
				since, err := w.truth.PlainSetsOver(w.Context())
				require.NoError(w, err)
				require.True(w, since.IsZero())
			},
		},
		{
			name:       "a registry that is brought over",
			unreadable: true,
			before: func(w *world) {
				withMoves(w)
				w.rewrite(crashpoints.New(crashpoints.Never))
				w.ofCommit1571751()
			},
			do: func(w *world, p *crashpoints.Process) {
				_, err := regstore.Upgrade(p.Context(), p.DB(w.db), options, regstore.UpgradeOptions{Rate: governor.Unlimited})
				w.requireKilled(p, err)
			},
		},
	} {
		t.Run(s.name, func(t *testing.T) {
			points := s.run(t)
			require.Positive(t, points)
			t.Logf("%d points", points)
		})
	}
}

// park gives a job up.
func (w *world) park(id string) {
	jobs, err := w.truth.Jobs(w.Context(), 0, 10, func(int64) bool { return false })
	require.NoError(w, err)
	for _, job := range jobs {
		if job.Entry.ID == id {
			job.Entry.Rewriting = job.Entry.Rewriting.TakenUp("worker", time.Now(), job.Revision)
			for range ownership.MostTries {
				job.Entry.Rewriting = job.Entry.Rewriting.FailedAt(time.Now(), "why", false)
			}
			_, err := w.truth.SaveJob(w.Context(), job)
			require.NoError(w, err)
			return
		}
	}
	w.Fatal("no such job")
}

// requireWholeStart holds that who starts now knows the ledger, and that the next
// snapshot leaves nothing of those that came to nothing.
func (w *world) requireWholeStart() {
	requireStart := func() {
		started := w.open(crashpoints.New(crashpoints.Never))
		snapshot, err := started.Read(w.Context(), nil)
		require.NoError(w, err)
		stored := ownership.NewLedger(snapshot.Ledger.Position(), w.moves())
		require.Equal(w, collect(stored), collect(snapshot.Ledger))
	}
	requireStart()
	time.Sleep(time.Hour) // leases end
	w.apply(changesOf(w.T, moved(30, "last", "t_x", "t_y"))...)
	w.rewrite(crashpoints.New(crashpoints.Never))
	written, err := w.open(crashpoints.New(crashpoints.Never)).WriteSnapshot(w.Context(), "last")
	require.NoError(w, err)
	require.True(w, written)
	requireStart()
	chunks := 0
	require.NoError(w, w.db.Query(w.Context(), docdb.Query{Collection: regstore.LedgerCollection}, func(d *docdb.Document) error {
		if strings.Contains(d.Name, "/snapshot.") {
			chunks++
		}
		return nil
	}))
	require.Equal(w, len(w.moves()), chunks, "each move is a chunk here")
}

func collect(l *ownership.Ledger) (all []ownership.Move) {
	for m := range l.Moves() {
		all = append(all, m)
	}
	return all
}

// ofCommit1571751 makes the registry what that commit would have written: no format,
// no head that says who may take part, no fence.
func (w *world) ofCommit1571751() {
	var writes []docdb.Write
	for _, collection := range []string{regstore.Collection, regstore.LedgerCollection} {
		require.NoError(w, w.db.Query(w.Context(), docdb.Query{Collection: collection}, func(d *docdb.Document) error {
			fields := map[string]*docdb.Value{}
			for name, v := range d.Fields {
				switch name {
				case "format", "min_reader", "min_writer", "ledger_staleness_ms", "commit_deadline_ms":
				default:
					fields[name] = v
				}
			}
			switch d.Name {
			case w.db.Name(regstore.LedgerCollection, "fence"), w.db.Name(regstore.LedgerCollection, "rewriting"):
				writes = append(writes, docdb.Write{Name: d.Name, Delete: true})
			default:
				writes = append(writes, docdb.Write{Name: d.Name, Fields: fields})
			}
			return nil
		}))
	}
	_, err := w.db.Commit(w.Context(), writes...)
	require.NoError(w, err)
}

func TestAClaimThatIsKilledAtAnyPointIsMadeOnceAfterAll(t *testing.T) {
	r := registry.Resource{Kind: registry.Thread, ID: "a"}
	for name, before := range map[string][]event{
		"of what is new":         nil,
		"of what waits for it":   {moved(5, "m", "t_b", "t_c", "a")},
		"of what is created":     {thread(1, "t_a", "a")},
		"in a tenant that moved": {moved(5, "m", "t_a", "t_b")},
	} {
		t.Run(name, func(t *testing.T) {
			points := scenario{
				before: func(w *world) { w.apply(changesOf(t, before...)...) },
				do: func(w *world, p *crashpoints.Process) {
					if store := w.open(p); store != nil {
						_, err := store.Claim(p.Context(), "t_a", r, registry.ForEvent("//nexus", "e"))
						w.requireKilled(p, err)
					}
				},
				holds: func(w *world) { require.Equal(w, "t_a", w.owners()[r]) },
			}.run(t)
			if name != "of what is created" {
				require.Positive(t, points)
			}
			t.Logf("%d points", points)
		})
	}
}

// A replay of an archive with everything in it, with its checkpoint.
func TestAReplayThatIsKilledAtAnyPointAppliesEachLineOnceAfterAll(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "events.ndjson.gz")
	out, err := archive.Create(name, nil)
	require.NoError(t, err)
	all := append([]event{moved(20, "1", "t_a", "t_b")}, append(threads("t_a", 7), canvas(3, "t_b", "cv"), moved(9, "2", "t_a", "t_c", "th-t_a-0", "th-t_a-1"))...)
	for _, e := range all {
		require.NoError(t, out.Write(e.Event))
	}
	require.NoError(t, out.Write(archived.NewRetracted("//nexus", "1", "operator", "why", day.Add(time.Hour))))
	require.NoError(t, out.WriteLine([]byte(`{"specversion":"1.0"}`)))
	require.NoError(t, out.Close())
	checkpoint := filepath.Join(dir, "checkpoint")
	total := 0
	points := scenario{
		before: func(*world) { _ = os.Remove(checkpoint) },
		do: func(w *world, p *crashpoints.Process) {
			store := w.open(p)
			if store == nil {
				return
			}
			file, from, err := replay.OpenFile(checkpoint, replay.Subject{Target: "here", Files: []string{name}})
			require.NoError(w, err)
			lines, err := archive.Open([]string{name}, nil)
			require.NoError(w, err)
			counts, err := replay.Run(p.Context(), store, lines, replay.Options{
				Rate: governor.Unlimited, Batch: 3, Appliers: 2, RetryFor: time.Second, Retractions: true, Resume: from,
				Refused: func(replay.Refusal) error { return nil },
				Save: func(c replay.Checkpoint) error {
					return p.Effect("save the checkpoint", func() error { return file.Save(c) })
				},
			})
			if w.requireKilled(p, err); err == nil {
				total = counts.Total()
				w.requireKilled(p, p.Effect("remove the checkpoint", file.Remove))
			}
		},
		holds: func(w *world) {
			require.Equal(w, len(all)+2, total, "every line is counted once")
			require.NoFileExists(w, checkpoint)
		},
	}.run(t)
	require.Positive(t, points)
	t.Logf("%d points", points)
}

// What is kept for people: which processes run, and what operators did.
func TestWhatIsKeptForPeopleIsTrueAfterAKillAtAnyPoint(t *testing.T) {
	points := scenario{do: func(w *world, p *crashpoints.Process) {
		db := p.DB(w.db)
		note, err := actions.Begin(p.Context(), db, actions.Action{Did: actions.Purge, By: "operator"})
		if w.requireKilled(p, err); err == nil {
			w.requireKilled(p, actions.End(p.Context(), db, note, actions.Action{Letters: 3}))
		}
	}, holds: func(w *world) {
		all, err := actions.List(w.Context(), w.db, 0)
		require.NoError(w, err)
		require.Equal(w, 3, all[0].Letters, "the last one was done")
		for _, a := range all[1:] {
			require.True(w, a.Ended == nil || a.Letters == 3, "one that was killed has no end, or the right one")
		}
	}}.run(t)
	require.Positive(t, points)
	points = scenario{do: func(w *world, p *crashpoints.Process) {
		ctx, cancel := context.WithTimeout(p.Context(), 150*time.Second)
		defer cancel()
		presence.Keep(ctx, p.DB(w.db), presence.Process{ID: fmt.Sprintf("%p", p), Role: "worker", Started: time.Now()}, func() presence.Held { return presence.Held{} }, silent)
	}, holds: func(w *world) {
		time.Sleep(presence.Gone + time.Second)
		all, err := presence.List(w.Context(), w.db)
		require.NoError(w, err)
		require.Empty(w, all, "a process that has ended, however, does not run")
	}}.run(t)
	require.Positive(t, points)
}
