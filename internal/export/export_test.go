package export_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/export"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// failing is a store whose ranges end with an error after so many documents.
type failing struct {
	export.Source
	mu   sync.Mutex
	left int
}

var errDown = errors.New("down")

func (f *failing) Range(ctx context.Context, at ownership.Snapshot, after, upTo string, limit int, visit func(ownership.Record) error) error {
	return f.Source.Range(ctx, at, after, upTo, limit, func(r ownership.Record) error {
		f.mu.Lock()
		f.left--
		down := f.left < 0
		f.mu.Unlock()
		if down {
			return errDown
		}
		return visit(r)
	})
}

// filled is a store with resources, whose lines in the order of their names it
// returns.
func filled(t *testing.T, ids []string) (*memregistry.Store, string) {
	store := memregistry.New()
	var changes []ownership.Change
	at := time.Now().Add(-time.Hour)
	for i, id := range ids {
		resource := registry.Resource{Kind: registry.Kinds()[i%2], ID: id}
		changes = append(changes, ownership.Change{Resource: resource, Entry: ownership.Entry{
			Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{Time: at, Source: "//a", ID: fmt.Sprint(i)}}})
	}
	for _, o := range store.Apply(t.Context(), changes) {
		require.Contains(t, []ownership.OutcomeKind{ownership.Applied, ownership.Duplicate, ownership.Conflict}, o.Kind)
	}
	var want strings.Builder
	require.NoError(t, store.Export(t.Context(), func(r ownership.Record, _ *ownership.Ledger) error {
		want.WriteString(r.Document + "\n")
		return nil
	}))
	return store, want.String()
}

func options(dir string) export.Options {
	return export.Options{
		Dir:    dir,
		Origin: export.Origin{Project: "p", What: "owners"},
		Encode: func(r ownership.Record, _ *ownership.Ledger) ([]byte, error) { return []byte(r.Document + "\n"), nil },
	}
}

func text(t *testing.T, files []string) string {
	var all strings.Builder
	for _, f := range files {
		part, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(part)
	}
	return all.String()
}

func TestTheFilesTogetherAreTheExportHoweverIdsAreDistributed(t *testing.T) {
	var nearly []string
	for i := range 20_000 {
		nearly = append(nearly, fmt.Sprintf("a-long-prefix-that-all-have-in-common-%06d", i))
	}
	store, want := filled(t, append(nearly, "A", "z~~~~~~", "z", "0"))
	result, err := export.Run(t.Context(), store, options(t.TempDir()))
	require.NoError(t, err)
	require.Equal(t, want, text(t, result.Files))
	require.EqualValues(t, strings.Count(want, "\n"), result.Documents)
	require.Greater(t, len(result.Files), 2, "it was read side by side")
}

// Killed after any number of documents, any number of times, with whatever the
// files have behind what the manifest knows.
func TestAnExportThatIsInterruptedIsResumedWithoutALineLostOrTwice(t *testing.T) {
	var ids []string
	for i := range 2_500 {
		ids = append(ids, fmt.Sprintf("%x", i*i))
	}
	store, want := filled(t, ids)
	rapid.Check(t, func(rt *rapid.T) {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(time.Now().UnixNano()))
		var first time.Time
		for range rapid.IntRange(0, 4).Draw(rt, "interruptions") {
			o := options(dir)
			o.Begun = func(at ownership.Snapshot, _ int64) error {
				if !first.IsZero() && !at.ReadTime.Equal(first) {
					rt.Fatalf("read as of %v and of %v", first, at.ReadTime)
				}
				first = at.ReadTime
				if rapid.Bool().Draw(rt, "at once") {
					return errDown
				}
				return nil
			}
			source := &failing{Source: store, left: rapid.IntRange(0, 2_500).Draw(rt, "documents")}
			if _, err := export.Run(t.Context(), source, o); err != nil {
				require.ErrorIs(rt, err, errDown)
			}
			parts, _ := filepath.Glob(filepath.Join(dir, "*.part"))
			for _, p := range parts { // as a kill leaves it, between a flush and the manifest
				f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
				require.NoError(rt, err)
				_, err = f.WriteString("half a li")
				require.NoError(rt, errors.Join(err, f.Close()))
			}
		}
		result, err := export.Run(t.Context(), store, options(dir))
		require.NoError(rt, err)
		if want != text(t, result.Files) {
			rt.Fatal("the export differs")
		}
	})
}

func TestADirectoryOfAnotherExportIsLeftAlone(t *testing.T) {
	store, _ := filled(t, []string{"1", "2"})
	dir := t.TempDir()
	_, err := export.Run(t.Context(), store, options(dir))
	require.NoError(t, err)
	o := options(dir)
	o.Origin.What = "events"
	_, err = export.Run(t.Context(), store, o)
	require.ErrorIs(t, err, export.ErrOther)
	require.ErrorContains(t, err, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{"), 0o600))
	_, err = export.Run(t.Context(), store, options(dir))
	var syntax *json.SyntaxError
	require.ErrorAs(t, err, &syntax, "what cannot be read is not begun anew")
}

func TestAnExportIsAsOfItsTimeWhateverIsWrittenMeanwhile(t *testing.T) {
	var ids []string
	for i := range 5_000 {
		ids = append(ids, fmt.Sprint(i))
	}
	store, want := filled(t, ids)
	o := options(t.TempDir())
	o.Begun = func(ownership.Snapshot, int64) error {
		_, err := store.Claim(t.Context(), "t_b", registry.Resource{Kind: registry.Thread, ID: "new"})
		return err
	}
	result, err := export.Run(t.Context(), store, o)
	require.NoError(t, err)
	require.Equal(t, want, text(t, result.Files))
}
