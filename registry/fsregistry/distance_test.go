package fsregistry_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/export"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// roundTrip is how far away Firestore is in these tests: another region.
const roundTrip = 50 * time.Millisecond

// far is a registry behind the service's rules.
type far struct {
	*testing.T
	project emulatortest.Project
	*fsregistry.Store
	began time.Time
	names int
}

func newFar(t *testing.T) *far {
	f := &far{T: t, project: emulatortest.Firestore(t), began: time.Now()}
	f.Store = f.open()
	return f
}

// open is a further process.
func (f *far) open(extra ...grpc.DialOption) *fsregistry.Store {
	store, err := fsregistry.Open(f.Context(), fsregistry.Options{
		ProjectID: f.project.ID, ClientOptions: f.project.FirestoreOptions(extra...), LedgerRate: 1e6,
	})
	require.NoError(f, err)
	f.Cleanup(func() { _ = store.Close() })
	return store
}

func (f *far) apply(changes ...ownership.Change) {
	f.Helper()
	for _, o := range f.Apply(f.Context(), changes) {
		require.Equal(f, ownership.Applied, o.Kind, o.Err)
	}
}

func (f *far) version() ownership.Version {
	f.names++
	return ownership.Version{Time: f.began.Add(time.Duration(f.names-1e6) * time.Microsecond), Source: "//test", ID: fmt.Sprint(f.names)}
}

func threads(n int) (all []registry.Resource) {
	for i := range n {
		all = append(all, registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("th_%04d", i)})
	}
	return all
}

func (f *far) create(tenant string, all []registry.Resource) {
	var changes []ownership.Change
	for _, r := range all {
		changes = append(changes, ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: f.version()}})
	}
	f.apply(changes...)
}

// moved is one event that moves a list, or, without one, all that the tenant has.
func (f *far) moved(from, to string, all ...registry.Resource) ownership.Version {
	entry := ownership.Entry{Type: ownership.Moved, From: from, To: to, Version: f.version()}
	changes := []ownership.Change{{Entry: entry}}
	if len(all) > 0 {
		changes = nil
	}
	for _, r := range all {
		changes = append(changes, ownership.Change{Resource: r, Entry: entry})
	}
	f.apply(changes...)
	return entry.Version
}

// An event of 500 is two commits, and two entries of the feed.
func TestAMoveOfManyIsToldAtADistanceBeforeItIsCertified(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	all := threads(501)
	f.create("t_ann", all)
	f.project.FirestoreRules.Distance(roundTrip)
	v, err := verifier.New(f.open(), verifier.Options{MaxStaleness: 2 * time.Second, MaxAge: verifier.Unbounded})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	var watched []verifier.Ownership
	for _, r := range all {
		watched = append(watched, verifier.Ownership{TenantID: "t_ann", Resource: r})
	}
	w, refused, err := v.WatchAll(t.Context(), watched)
	require.NoError(t, err)
	require.Empty(t, refused)
	t.Cleanup(w.Close)
	next := func() verifier.News {
		news, err := w.Next(t.Context())
		require.NoError(t, err)
		return news
	}
	for !next().Certified {
	}
	f.moved("t_ann", "t_bob", all[:500]...)
	committed := time.Now()
	lost := map[int]bool{}
	for len(lost) < 500 {
		news := next()
		for _, i := range news.Lost {
			lost[i] = true
		}
		if news.Certified && news.At.Add(-news.Age).After(committed) {
			require.Len(t, lost, 500, "it is certified, and not all was told")
		}
	}
	require.False(t, lost[500])
	require.NoError(t, v.Verify(t.Context(), "t_bob", all[0]))
	require.ErrorIs(t, v.Verify(t.Context(), "t_ann", all[0]), registry.ErrNotFound)
}

func TestAnExportAtADistanceIsTheSame(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	f.create("t_ann", threads(1500))
	f.moved("t_ann", "t_bob")
	var want strings.Builder
	encode := func(r ownership.Record, l *ownership.Ledger) ([]byte, error) {
		owner, err := r.Owner(l)
		return []byte(r.Document + " " + owner + "\n"), err
	}
	require.NoError(t, f.Export(t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		line, err := encode(r, l)
		want.Write(line)
		return err
	}))
	require.Equal(t, 1500, strings.Count(want.String(), " t_bob\n"))
	f.project.FirestoreRules.Distance(roundTrip)
	result, err := export.Run(t.Context(), f.open(), export.Options{
		Dir: t.TempDir(), Origin: export.Origin{Project: f.project.ID, What: "owners"}, Encode: encode,
	})
	require.NoError(t, err)
	var got strings.Builder
	for _, file := range result.Files {
		part, err := os.ReadFile(file)
		require.NoError(t, err)
		got.Write(part)
	}
	require.Equal(t, want.String(), got.String())
}

func TestAJobThatIsParkedIsTakenUpAtADistance(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	all := threads(30)
	f.create("t_ann", all)
	f.project.FirestoreRules.Distance(roundTrip)
	move := f.moved("t_ann", "t_bob")
	job, err := storetest.LeaseJob(t.Context(), f.Store, "w", time.Minute)
	require.NoError(t, err)
	for range ownership.MostTries {
		job.Entry.Rewriting = job.Entry.Rewriting.FailedAt(job.Now, errors.New("no").Error(), false)
	}
	event := job.Entry.EventName()
	_, err = f.SaveJob(t.Context(), job)
	require.NoError(t, err)
	require.NoError(t, storetest.ReleaseLease(t.Context(), f.Store, "w"))

	other := f.open()
	worker, err := rewrite.New(other, rewrite.Options{Rate: governor.Unlimited, Page: 7})
	require.NoError(t, err)
	require.ErrorIs(t, worker.RunPending(t.Context()), ownership.ErrNoJob, "%s is parked", move.ID)
	require.NoError(t, f.ResumeJob(t.Context(), event))
	require.NoError(t, worker.RunPending(t.Context()))
	snapshot, err := other.Read(t.Context(), all)
	require.NoError(t, err)
	for _, r := range snapshot.Records {
		require.Equal(t, "t_bob", r.TenantID, r.Document)
	}
	require.ErrorIs(t, f.ResumeJob(t.Context(), event), ownership.ErrNotParked)
}

// A snapshot that is written at a distance, and what has changed behind it, are the
// ledger.
func TestAStartAtADistanceReadsASnapshotAndWhatChangedSince(t *testing.T) {
	t.Parallel()
	const before, after = 700, 30
	f := newFar(t)
	move := func(i int) ownership.Change {
		return ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: fmt.Sprintf("t_%04d", i), To: "t_all", Version: f.version()}}
	}
	var all []ownership.Change
	for i := range before + after {
		all = append(all, move(i))
	}
	for changes := range slices.Chunk(all[:before], 500) {
		f.apply(changes...)
	}
	f.apply(ownership.Retraction(all[0].Entry.Version, "ann", "no"))
	f.project.FirestoreRules.Distance(20 * time.Millisecond)
	written, err := f.WriteSnapshot(t.Context(), "w")
	require.NoError(t, err)
	require.True(t, written)
	f.apply(all[before:]...)
	f.apply(ownership.Retraction(all[1].Entry.Version, "ann", "no"))

	meter := wire.NewMeter()
	started := f.open(meter.DialOptions()...)
	require.LessOrEqual(t, meter.Reads(fsregistry.LedgerCollection), int64(after+10), "a read for each of %d changes, and few more", after+1)
	snapshot, err := started.Read(t.Context(), nil)
	require.NoError(t, err)
	stored, err := f.Moves(t.Context())
	require.NoError(t, err)
	require.Len(t, stored, before+after)
	want := ownership.NewLedger(snapshot.Ledger.Position(), stored)
	require.Equal(t, slices.Collect(want.Moves()), slices.Collect(snapshot.Ledger.Moves()))
	require.Equal(t, before+after-2, len(slices.Collect(snapshot.Ledger.Counting())))
}
