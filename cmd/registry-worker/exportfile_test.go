package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A file has what standard output has, also if the export was killed before: it is
// there when it is whole, and nothing else is.
func TestAnExportToAFileIsTheExportAlsoIfItWasKilled(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	store := c.open()
	var changes []ownership.Change
	for i := range 6_000 {
		changes = append(changes, ownership.Change{
			Resource: registry.Resource{Kind: registry.Kinds()[i%2], ID: fmt.Sprintf("%x", i*7919%65536)},
			Entry: ownership.Entry{Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{
				Time: time.Now().Add(-time.Hour), Source: "//test", ID: fmt.Sprint(i)}},
		})
	}
	for _, o := range store.Apply(t.Context(), changes) {
		require.NotEqual(t, ownership.Failed, o.Kind, "%v", o.Err)
	}
	want := c.run(exitDone, "export").Stdout.String()
	require.Greater(t, strings.Count(want, "\n"), 5_000)

	name := filepath.Join(t.TempDir(), "owners.ndjson")
	killed := c.start("export", "--output", name)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(name+partsSuffix, "manifest.json"))
		select {
		case <-killed.Done():
			return true
		default:
			return err == nil
		}
	}, time.Minute, time.Millisecond)
	killed.Kill()
	<-killed.Done()
	if half, err := os.ReadFile(name); err == nil { // it was faster
		require.Equal(t, want, string(half))
	}
	again := c.run(exitDone, "export", "--output", name)
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	require.NoDirExists(t, name+partsSuffix)
	require.Contains(t, again.Stderr.String(), "read as of")

	inFile := filepath.Join(name, "owners.ndjson")
	require.Contains(t, c.run(exitFault, "export", "--output", inFile).Stderr.String(), "--output "+inFile+": what is read is kept beside it")

	require.Contains(t, c.run(exitDone, "export", "--check", "--output", name).Stderr.String(), "checked, no differences")

	events := filepath.Join(t.TempDir(), "events.ndjson.gz")
	c.run(exitDone, "export", "--events", "--output", events)
	c.run(exitDone, "replay", "--dry-run", events)
}
