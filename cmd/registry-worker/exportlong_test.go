package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// long is a registry that says how large it is, and notes how it is read.
type long struct {
	*memregistry.Store
	documents int64
	recovers  bool
	left      int // documents until it fails; negative: it does not

	mu      sync.Mutex
	asOf    []time.Time
	ledgers int // times that the ledger's entries were read
}

func (l *long) Documents(context.Context) (int64, error) { return l.documents, nil }
func (l *long) Recovers(context.Context) (bool, error)   { return l.recovers, nil }

func (l *long) AsOf(ctx context.Context, at time.Time) (ownership.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asOf = append(l.asOf, at)
	return l.Store.AsOf(ctx, at)
}

func (l *long) EachMove(ctx context.Context, at time.Time, visit func(ownership.LedgerEntry) error) error {
	l.ledgers++
	return l.Store.EachMove(ctx, at, visit)
}

var errDown = errors.New("down")

func (l *long) Range(ctx context.Context, at ownership.Snapshot, after, upTo string, limit int, visit func(ownership.Record) error) error {
	return l.Store.Range(ctx, at, after, upTo, limit, func(r ownership.Record) error {
		l.mu.Lock()
		down := l.left == 0
		l.left--
		l.mu.Unlock()
		if down {
			return errDown
		}
		return visit(r)
	})
}

// newLong has threads, moves of whole tenants, and one that was retracted.
func newLong(t *testing.T, threads int) *long {
	l := &long{Store: memregistry.New(), documents: int64(threads), left: -1}
	var changes []ownership.Change
	version := func(id string, i int) ownership.Version {
		return ownership.Version{Time: noon.Add(time.Duration(i%7) * time.Second), Source: "//test", ID: fmt.Sprint(id, i)}
	}
	for i := range threads {
		changes = append(changes, ownership.Change{Resource: registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("%x", i)},
			Entry: ownership.Entry{Type: ownership.Created, Tenant: "t_ada", Version: version("c", i)}})
	}
	for i := range 30 {
		changes = append(changes, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: fmt.Sprint("t_", i), To: "t_bob", Version: version("m", i)}})
	}
	changes = append(changes, ownership.Retraction(version("m", 3), "ann", "no"))
	for _, o := range l.Apply(t.Context(), changes) {
		require.Equal(t, ownership.Applied, o.Kind, "%v", o.Err)
	}
	return l
}

// export runs export --output, and returns what was told.
func (l *long) export(t *testing.T, name string, f format) (told string, err error) {
	var stderr bytes.Buffer
	none := func(string) (string, bool) { return "", false }
	in := &invocation{process: process{Stderr: &stderr, LookupEnv: none}, Config: &config.Config{Project: "p", Database: "d", Output: name}}
	if f.framed {
		f = archiveFormat(&stderr)
	}
	err = exportFile(t.Context(), in, l, f)
	return stderr.String(), err
}

func TestAnExportSaysAtItsStartHowLongItTakesAndWhetherThatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLong(t, 100)
		time.Sleep(3 * time.Minute)
		name := filepath.Join(t.TempDir(), "owners.ndjson")

		l.documents = 100e6
		told, err := l.export(t, name, owners)
		require.NoError(t, err)
		require.Contains(t, told, "about 100000000 documents, at 50000 a second 33m20s; read as of 2000-01-01T00:03:00Z, which can be read until 2000-01-01T01:03:00Z\n")

		l.documents = 300e6
		told, err = l.export(t, name, owners)
		require.NoError(t, err)
		require.Contains(t, told, "at 50000 a second 1h40m0s; read as of 2000-01-01T00:03:00Z, which can be read until 2000-01-01T01:03:00Z: this will probably not fit; turn on point-in-time recovery")

		time.Sleep(17 * time.Second)
		l.recovers, l.asOf = true, nil
		told, err = l.export(t, name, owners)
		require.NoError(t, err)
		require.Contains(t, told, "read as of 2000-01-01T00:02:00Z, which can be read until 2000-01-08T00:02:00Z\n", "a whole minute that is over")
		require.Equal(t, time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC), l.asOf[len(l.asOf)-1])

		l.asOf = nil
		told, err = l.export(t, name, differences)
		require.NoError(t, err)
		require.Contains(t, told, "at 50000 a second 1h40m0s\n", "it fits in any case: each range is read as of its own time")
		require.Contains(t, told, "100 documents checked, no differences")
		require.Greater(t, len(l.asOf), 1)
		for _, at := range l.asOf {
			require.Zero(t, at)
		}
	})
}

// The ledger comes first, with what it costs, in the order of versions, and is read
// once however often the export is interrupted.
func TestAnArchiveThatIsInterruptedGoesOnWithTheLedgerThatItHas(t *testing.T) {
	l := newLong(t, 2_000)
	var out, told bytes.Buffer
	require.NoError(t, exportEvents(t.Context(), l, target{Project: "p", Database: "d"}, &out, &told))
	require.Empty(t, told.String(), "a small ledger costs little")
	want := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, want, 2_000+30+1+2)

	l.ledgers = 0
	name := filepath.Join(t.TempDir(), "events.ndjson")
	for _, l.left = range []int{0, 700} {
		_, err := l.export(t, name, format{framed: true})
		require.ErrorIs(t, err, errDown)
		require.NoFileExists(t, name)
	}
	l.left = -1
	resumed, err := l.export(t, name, format{framed: true})
	require.NoError(t, err)
	require.Contains(t, resumed, "before them 30 moves of whole tenants, each a read, at 10000 a second 0s; resumed, ")
	require.Equal(t, 1, l.ledgers)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Equal(t, want[1:len(want)-1], got[1:len(got)-1], "between the lines with the times")
	require.Contains(t, got[len(got)-1], "registry.archive.ended.v1")
}
