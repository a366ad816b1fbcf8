package regstore_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

const prefix = "test_"

func open(t *testing.T, p emulatortest.Project, extra ...grpc.DialOption) *fsregistry.Store {
	t.Helper()
	return openLogged(t, p, nil, extra...)
}

func openLogged(t *testing.T, p emulatortest.Project, logger *slog.Logger, extra ...grpc.DialOption) *fsregistry.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	founder, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	require.NoError(t, founder.MakeHead(ctx), "what is written once for a registry is not to be counted, nor held up")
	require.NoError(t, founder.Close())
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(extra...)})
	require.NoError(t, err)
	s, err := regstore.Open(ctx, db, regstore.Options{
		LedgerRate: 1000, Logger: logger, SnapshotEvery: storetest.SnapshotEvery, ChunkBytes: storetest.ChunkBytes,
		OutboxPatience: storetest.OutboxPatience,
	})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// outside is Google's own client: what programs that know nothing of ours use.
func outside(t *testing.T, p emulatortest.Project) *client.Client {
	t.Helper()
	c, err := client.NewClient(context.Background(), p.ID, p.FirestoreOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestFirestoreIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		p := emulatortest.Firestore(t)
		python := outside(t, p)
		return storetest.Backend{
			Open:       func() storetest.Store { return open(t, p) },
			OpenLogged: func(l *slog.Logger) storetest.Store { return openLogged(t, p, l) },
			SetPlain: func(name, tenantID string, merge bool) {
				var options []client.SetOption
				if merge {
					options = append(options, client.MergeAll)
				}
				_, err := python.Collection(prefix+"realtime_registry").Doc(name).Set(context.Background(), map[string]any{"tenant_id": tenantID}, options...)
				require.NoError(t, err)
			},
			SetField: func(name, field, value string) {
				_, err := python.Collection(prefix+"realtime_registry").Doc(name).Set(t.Context(), map[string]any{field: value}, client.MergeAll)
				require.NoError(t, err)
			},
			Fields: func(name string) map[string]any {
				document, err := python.Collection(prefix + "realtime_registry").Doc(name).Get(t.Context())
				require.NoError(t, err)
				return document.Data()
			},
			SetFormat: func(name string, format int64) {
				_, err := python.Collection(prefix+"realtime_registry").Doc(name).Update(t.Context(), []client.Update{{Path: "format", Value: format}})
				require.NoError(t, err)
			},
			SetMoveFormat: func(source, id string, format int64) { setMoveFormat(t, python, source, id, format) },
			ChangeLedger: func(s storetest.Store, changes []ownership.LedgerChange) []ownership.Outcome {
				return s.(*fsregistry.Store).ChangeLedger(t.Context(), changes)
			},
			SetHead: func(field string, value int64) { set(t, python, field, value) },
			Backup:  func() func() { return documents(t, p).Backup() },
			Feed:    func() []registry.Resource { return feed(t, python) },
		}
	})
}

// documents is who writes without a store.
func documents(t *testing.T, p emulatortest.Project) storetest.Outside {
	t.Helper()
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return storetest.Outside{DB: db}
}

func feed(t *testing.T, c *client.Client) (resources []registry.Resource) {
	t.Helper()
	documents, err := c.Collection(prefix + fsregistry.FeedCollection).Documents(context.Background()).GetAll()
	require.NoError(t, err)
	slices.SortFunc(documents, func(a, b *client.DocumentSnapshot) int { return a.CreateTime.Compare(b.CreateTime) })
	for _, d := range documents {
		names, many := d.Data()["resources"].([]any)
		if !many {
			names = []any{d.Data()["resource"]}
		}
		for _, name := range names {
			resource, err := registry.ParseDocumentID(name.(string))
			require.NoError(t, err)
			resources = append(resources, resource)
		}
		require.IsType(t, time.Time{}, cmp.Or(d.Data()["at"], d.Data()["changed_at"]))
		require.True(t, d.Data()["expires_at"].(time.Time).After(d.CreateTime))
	}
	return resources
}

func creations(run string, n int) []ownership.Change {
	changes := make([]ownership.Change, n)
	for i := range changes {
		id := fmt.Sprint(run, "-", i)
		changes[i] = ownership.Change{
			Resource: registry.Resource{Kind: registry.Thread, ID: id},
			Entry: ownership.Entry{Type: ownership.Created, Tenant: "t_a",
				Version: ownership.Version{Time: time.Unix(int64(i), 0).UTC(), Source: "//nexus", ID: id}},
		}
	}
	return changes
}

func requireAll(t *testing.T, kind ownership.OutcomeKind, outcomes []ownership.Outcome) {
	t.Helper()
	for i, o := range outcomes {
		require.Equal(t, kind, o.Kind, "change %d: %v", i, o.Err)
	}
}

// What is billed, counted at the wire.
func TestWhatACreateAndADuplicateCost(t *testing.T) {
	const documents = prefix + fsregistry.Collection
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	cost := func(work func()) (reads, writes int64) {
		meter.Reset()
		work()
		return meter.Reads(documents), meter.Writes(documents)
	}

	reads, writes := cost(func() { requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 700))) })
	require.EqualValues(t, 0, reads, "a fresh create costs no read")
	require.EqualValues(t, 700, writes, "and one write")

	reads, writes = cost(func() { requireAll(t, ownership.Duplicate, s.Apply(t.Context(), creations("x", 700))) })
	require.EqualValues(t, 700, reads, "a duplicate among duplicates costs one read")
	require.EqualValues(t, 0, writes, "and no write")

	reads, writes = cost(func() { requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("y", 300))) })
	require.EqualValues(t, 0, reads, "which does not make the next fresh ones dearer")
	require.EqualValues(t, 300, writes)

	mixed := append(creations("y", 100), creations("z", 400)...)
	reads, writes = cost(func() { s.Apply(t.Context(), mixed) })
	require.EqualValues(t, 100, reads, "in a mixture each costs its own")
	require.EqualValues(t, 400, writes)

	s = open(t, p, meter.DialOptions()...)
	reads, writes = cost(func() { requireAll(t, ownership.Duplicate, s.Apply(t.Context(), creations("x", 700))) })
	require.EqualValues(t, 700, reads, "a process that knows nothing of them")
	require.LessOrEqual(t, writes, int64(16), "tries a few creates before it reads")
	reads, writes = cost(func() { requireAll(t, ownership.Duplicate, s.Apply(t.Context(), creations("y", 300))) })
	require.EqualValues(t, 300, reads)
	require.Zero(t, writes)
	reads, writes = cost(func() {
		requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("v", 300)))
		requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("w", 300)))
	})
	require.EqualValues(t, 300, reads, "one batch is read before creates go without a look again")
	require.EqualValues(t, 600, writes)
}

// The durable second path: an event that finds the claim of its tenant.
func TestTheEventOfAClaimCostsOneReadAndNoWrite(t *testing.T) {
	const documents = prefix + fsregistry.Collection
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	claims, s := open(t, p), open(t, p, meter.DialOptions()...)
	events := creations("claimed", 300)
	for _, c := range events {
		created, err := claims.Claim(t.Context(), c.Entry.Tenant, c.Resource)
		require.NoError(t, err)
		require.True(t, created)
	}
	requireAll(t, ownership.Duplicate, s.Apply(t.Context(), events[:100]))
	meter.Reset()
	requireAll(t, ownership.Duplicate, s.Apply(t.Context(), events))
	require.EqualValues(t, 300, meter.Reads(documents))
	require.Zero(t, meter.Writes(documents))
}

// A claim reads the head, its event the document.
func TestAClaimAndItsEventCostTwoReadsAndOneWrite(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	const n = 100
	claim := func(name string) {
		for _, c := range creations(name, n) {
			created, err := s.Claim(t.Context(), c.Entry.Tenant, c.Resource, registry.ForEvent(c.Entry.Source, c.Entry.ID))
			require.NoError(t, err)
			require.True(t, created)
		}
	}
	claim("before") // the first write to a registry makes its head
	meter.Reset()
	claim("claimed")
	require.EqualValues(t, n, meter.Reads(""), "the head")
	require.EqualValues(t, n, meter.Writes(""))

	w := open(t, p, meter.DialOptions()...)
	requireAll(t, ownership.Duplicate, w.Apply(t.Context(), creations("before", n))) // it has seen events of claims
	meter.Reset()
	requireAll(t, ownership.Duplicate, w.Apply(t.Context(), creations("claimed", n)))
	require.EqualValues(t, n, meter.Reads(""), "the document")
	require.Zero(t, meter.Writes(""))

	// Claims of what others have are looked up after a few.
	for _, c := range creations("claimed", n) {
		_, err := w.Claim(t.Context(), "t_other", c.Resource)
		require.ErrorIs(t, err, registry.ErrConflict)
	}
	require.LessOrEqual(t, meter.Writes(""), int64(16))
}

// A write more, in the same commit, and a delete once it was published.
func TestWhatAClaimCostsInARegistryWithALog(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	_, _, err := s.BeginLog(t.Context())
	require.NoError(t, err)
	var logged []string
	s.OnLogged(func(l ownership.Logged) { logged = append(logged, l.Name) })
	const n = 20
	meter.Reset()
	for _, c := range creations("logged", n) {
		created, err := s.Claim(t.Context(), c.Entry.Tenant, c.Resource)
		require.NoError(t, err)
		require.True(t, created)
	}
	require.EqualValues(t, n, meter.Reads(""), "the head")
	require.EqualValues(t, 2*n, meter.Writes(""))
	require.EqualValues(t, n, meter.Calls("Commit"), "in the same commit")
	require.Len(t, logged, n)
	require.NoError(t, s.Published(t.Context(), logged))
	require.EqualValues(t, 1, meter.Calls("BatchWrite"), "of deletes")
	require.Zero(t, meter.Reads(prefix+regstore.OutboxCollection))
	require.EqualValues(t, n, meter.Reads(""))
}

func TestWhatAnOperatorsMoveCostsInARegistryWithALog(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	_, _, err := s.BeginLog(t.Context())
	require.NoError(t, err)
	const n = 300
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("operated", n)))
	moves := creations("operated", n)
	for i := range moves {
		moves[i].ToLog = true
		moves[i].Entry = ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
			Version: ownership.Version{Time: time.Unix(1000, 0), Source: "//operator", ID: "m"}}
	}
	meter.Reset()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), moves))
	require.EqualValues(t, 2, meter.Calls("Commit"))
	require.EqualValues(t, 2, meter.Writes(prefix+regstore.OutboxCollection), "one for each commit")
	require.EqualValues(t, 2, meter.Writes(prefix+regstore.FeedCollection))
	whole := ownership.Change{ToLog: true, Entry: moves[0].Entry}
	requireAll(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{whole}))
	require.EqualValues(t, 3, meter.Writes(prefix+regstore.OutboxCollection))
	require.EqualValues(t, 3, meter.Calls("Commit"), "in the same commit")
	require.Zero(t, meter.Reads(prefix+regstore.OutboxCollection))
}

func TestWhatAMoveCosts(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 50)))
	moves := creations("x", 50)
	for i := range moves {
		moves[i].Entry = ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
			Version: ownership.Version{Time: time.Unix(1000, 0), Source: "//nexus", ID: fmt.Sprint("m", i)}}
	}
	meter.Reset()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), moves))
	require.EqualValues(t, 50, meter.Reads(prefix+fsregistry.Collection), "one read")
	require.EqualValues(t, 50, meter.Writes(prefix+fsregistry.Collection), "one write of the document")
	require.EqualValues(t, 1, meter.Writes(prefix+fsregistry.FeedCollection), "one write of a feed entry for all")
	require.EqualValues(t, 1, meter.Calls("Commit"), "in one commit as long as nobody interferes")
}

func TestAmbiguousCommitsAreSettledByReading(t *testing.T) {
	move := ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(50, 0), Source: "//nexus", ID: "m"}}
	for name, lost := range map[string]struct {
		method string
		work   func(s *fsregistry.Store) []ownership.Outcome
	}{
		"a batch of creates": {"BatchWrite", func(s *fsregistry.Store) []ownership.Outcome {
			return s.Apply(context.Background(), creations("new", 20))
		}},
		"a change with its feed entry": {"Commit", func(s *fsregistry.Store) []ownership.Outcome {
			return s.Apply(context.Background(), []ownership.Change{{Resource: creations("old", 1)[0].Resource, Entry: move}})
		}},
		"a move of a tenant": {"Commit", func(s *fsregistry.Store) []ownership.Outcome {
			return s.Apply(context.Background(), []ownership.Change{{Entry: move}})
		}},
		"moves of many tenants": {"Commit", func(s *fsregistry.Store) []ownership.Outcome {
			return s.Apply(context.Background(), tenantMoves("m", 20))
		}},
		"a claim": {"Commit", func(s *fsregistry.Store) []ownership.Outcome {
			created, err := s.Claim(context.Background(), "t_a", registry.Resource{Kind: registry.Canvas, ID: "c"})
			if err != nil || !created {
				return []ownership.Outcome{{Kind: ownership.Failed, Err: fmt.Errorf("created %v: %w", created, err)}}
			}
			return []ownership.Outcome{{Kind: ownership.Applied}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, faults := emulatortest.Firestore(t), wire.NewFaults()
			s := open(t, p, faults.DialOptions()...)
			requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("old", 1)))
			faults.LoseAnswers(lost.method, 1)
			requireAll(t, ownership.Applied, lost.work(s))
			require.Zero(t, faults.Left(), "an answer was lost")

			snapshot, err := s.Read(t.Context(), []registry.Resource{creations("old", 1)[0].Resource})
			require.NoError(t, err)
			require.LessOrEqual(t, len(snapshot.Records[0].History), 2, "nothing is there twice")
			require.Equal(t, int(snapshot.Ledger.Position()), snapshot.Ledger.Len(), "no position is taken twice")
			require.LessOrEqual(t, len(feed(t, outside(t, p))), 1)
		})
	}
}

func TestAStoreThatIsDownIsUnavailableAndNothingElse(t *testing.T) {
	faults := wire.NewFaults()
	s := open(t, emulatortest.Firestore(t), faults.DialOptions()...)
	faults.Down(true)
	for _, o := range s.Apply(t.Context(), append(creations("x", 3), ownership.Change{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Source: "//n", ID: "1"}}})) {
		require.Equal(t, ownership.Failed, o.Kind)
		require.ErrorIs(t, o.Err, registry.ErrUnavailable)
	}
	_, err := s.Read(t.Context(), []registry.Resource{{Kind: registry.Thread, ID: "x"}})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	_, err = s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Thread, ID: "x"})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorIs(t, s.Export(t.Context(), nil), registry.ErrUnavailable)
	faults.Down(false)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 3)))
}

// One that reads the ledger for all others stands still, if a connection has
// died in silence.
func TestNobodyWaitsLongerThanItsContextForAReadThatDoesNotEnd(t *testing.T) {
	p := emulatortest.Firestore(t)
	link, err := wire.NewLink(p.FirestoreHost)
	require.NoError(t, err)
	t.Cleanup(func() { link.Close() })
	p.FirestoreHost = link.Addr()
	s, err := fsregistry.Open(t.Context(), fsregistry.Options{
		ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(),
		LedgerStaleness: time.Millisecond, CommitDeadline: 2 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	time.Sleep(2 * time.Millisecond)
	link.Blackhole()
	stuck := make(chan []ownership.Outcome)
	go func() { stuck <- s.Apply(context.Background(), creations("x", 1)) }()
	time.Sleep(100 * time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.ErrorIs(t, s.Apply(ctx, creations("y", 1))[0].Err, registry.ErrUnavailable)
	require.Less(t, time.Since(began), time.Second)
	select {
	case outcomes := <-stuck:
		require.ErrorIs(t, outcomes[0].Err, registry.ErrUnavailable)
	case <-time.After(10 * time.Second):
		t.Fatal("the read has no deadline of its own")
	}
}

func TestAnExportThatBreaksOffIsTakenUpAgain(t *testing.T) {
	p, faults := emulatortest.Firestore(t), wire.NewFaults()
	s := open(t, p, faults.DialOptions()...)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 300)))
	visits := 0
	require.NoError(t, s.Export(t.Context(), func(ownership.Record, *ownership.Ledger) error {
		if visits++; visits == 100 {
			faults.Down(true) // breaks open streams
			faults.Down(false)
		}
		return nil
	}))
	require.Equal(t, 300, visits, "every document once")
}

func TestOptionsAreValidated(t *testing.T) {
	err := fsregistry.Options{Prefix: "a/b"}.Validate()
	require.ErrorContains(t, err, "ProjectID")
	require.ErrorContains(t, err, "prefix")
}

func TestAnEmulatorThatIsNotThereIsNamed(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: "nowhere"})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "nowhere")
}
