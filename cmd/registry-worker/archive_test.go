package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/internal/replay"
)

// archiveVariable names an archive to use in place of one that is made here:
// `make archive ARCHIVE=events.ndjson.gz`, and `make proofs` alike.
const archiveVariable = "REGISTRY_TEST_ARCHIVE"

// wholeArchive is the events of an archive, and what must come of them.
type wholeArchive struct {
	lines []string
	want  string // the export, by the reference fold
}

func loadArchive(t *testing.T) wholeArchive {
	t.Helper()
	file := os.Getenv(archiveVariable)
	if file == "" {
		file = makeArchive(t)
	}
	r, err := archive.Open([]string{file}, nil)
	require.NoError(t, err)
	var a wholeArchive
	var fold reference.Registry
	for line, err := range r.Lines(t.Context()) {
		require.NoError(t, err)
		e, err := archived.Decode(line.Text, time.Now())
		require.NoError(t, err, "%s:%d", line.File, line.Number)
		fold.Add(handlers.Changes(e)...)
		a.lines = append(a.lines, string(line.Text))
	}
	var want strings.Builder
	owners := fold.Owners()
	for _, r := range fold.Resources() {
		fmt.Fprintf(&want, "{\"kind\":%q,\"id\":%q,\"tenant_id\":%q}\n", r.Kind, r.ID, owners[r])
	}
	a.want = want.String()
	return a
}

// makeArchive makes creations, and moves of some of what they created.
func makeArchive(t *testing.T) string {
	const threads = 3000
	var lines []string
	for i := range threads {
		tenant := fmt.Sprint("t_", i%20)
		at := time.Date(2024, 1, 1, 0, 0, i, 0, time.UTC).Format(time.RFC3339)
		lines = append(lines, created(fmt.Sprint("c", i), at, tenant, fmt.Sprint("th_", i)))
		if i%100 == 0 {
			lines = append(lines, event(fmt.Sprint("m", i), "nexus.tenant.moved.v1", "2024-02-01T00:00:00Z",
				fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":"t_new","resources":[{"kind":"thread","id":"th_%d"}]}`, tenant, i)))
		}
	}
	return write(t, lines...)
}

func (a wholeArchive) shuffled() []string {
	lines := append([]string(nil), a.lines...)
	rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines
}

// settled waits until a worker has settled n messages, and returns how long that
// took.
func settled(t *testing.T, url string, n int) time.Duration {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool { return settledMessages(t, url) >= n }, 5*time.Minute, 10*time.Millisecond)
	return time.Since(began)
}

func TestAnArchiveEndsAsItsFoldAndAgainChangesNothing(t *testing.T) {
	t.Parallel()
	a := loadArchive(t)
	c := onEmulators(t)
	meter := wire.NewMeter()
	proxy, err := wire.NewProxy(c.project.FirestoreHost, meter.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	c.project.FirestoreHost = proxy.Addr()
	c.run(exitDone, "provision")
	pass := func(name string, lines []string) (reads, writes int64) {
		c.run(exitDone, "publish", write(t, lines...))
		meter.Reset()
		// What the emulator had sent ahead to the worker before comes after a lease.
		// With few streams the first batch may be too small to tell that all is known.
		worker, url := c.service("run", "--lease", "10s", "--streams", strconv.Itoa(consumer.EmulatorStreams))
		took := settled(t, url, len(lines))
		reads, writes = meter.Reads(""), meter.Writes("realtime_registry") // and not what processes write of themselves
		t.Logf("%s: %d events in %s, %.0f/s; %d documents read, %d writes tried",
			name, len(lines), took.Round(time.Millisecond), float64(len(lines))/took.Seconds(), reads, writes)
		require.Zero(t, sum(t, url, "registry_dead_letters_total"))
		worker.Signal(syscall.SIGTERM)
		require.Equal(t, exitDone, worker.Wait(30*time.Second))
		require.Equal(t, a.want, c.run(exitDone, "export").Stdout.String())
		c.run(exitDone, "export", "--check")
		return reads, writes
	}
	pass("fresh", a.lines)
	written := lastWrite(t, c)
	before := c.archive()
	_, writes := pass("again, shuffled", a.shuffled())
	require.LessOrEqual(t, writes, int64(8*16), "except for a few creates that are tried before it is known, and fail")
	require.Equal(t, before, c.archive(), "no document has changed")
	require.Equal(t, written, lastWrite(t, c), "none was written again either")
	require.Empty(t, c.run(exitDone, "dead-letters", "list", "--json").Stdout.String())
}

// lastWrite is when a document of the registry was written last.
func lastWrite(t *testing.T, c program) (last time.Time) {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	documents, err := client.Collection("realtime_registry").Select().Documents(t.Context()).GetAll()
	require.NoError(t, err)
	for _, d := range documents {
		if d.UpdateTime.After(last) {
			last = d.UpdateTime
		}
	}
	return last
}

func TestAnArchiveThatIsStoppedInTheMiddleEndsAlike(t *testing.T) {
	t.Parallel()
	a := loadArchive(t)
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.run(exitDone, "publish", write(t, a.lines...))
	first, url := c.service("run", "--lease", "10s", "--max-outstanding", "500")
	settled(t, url, len(a.lines)/4)
	first.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, first.Wait(time.Minute))
	there := strings.Count(c.run(exitDone, "export").Stdout.String(), "\n")
	t.Logf("SIGTERM: exit code 0 with %d of %d resources there", there, strings.Count(a.want, "\n"))
	require.Less(t, there, strings.Count(a.want, "\n"), "it was the middle")

	second, url := c.service("run", "--lease", "10s")
	began := time.Now()
	require.Eventually(t, func() bool { return c.run(exitDone, "export").Stdout.String() == a.want }, 5*time.Minute, time.Second,
		"what was not acknowledged is delivered again")
	t.Logf("the rest was there %s after the restart", time.Since(began).Round(time.Second))
	require.Zero(t, sum(t, url, "registry_dead_letters_total"))
	second.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, second.Wait(30*time.Second))
	require.Empty(t, c.run(exitDone, "dead-letters", "list", "--json").Stdout.String())
}

func TestAnArchiveReplayedTwiceAndAfterAKillEndsAsItsFold(t *testing.T) {
	t.Parallel()
	a := loadArchive(t)
	c, file := onEmulators(t), write(t, a.lines...)
	apply := func(args ...string) string {
		began := time.Now()
		out := c.patient(append([]string{"replay", "--yes", "--rate", "unlimited", file}, args...)...)
		t.Logf("replay %s: %s\n%s", strings.Join(args, " "), time.Since(began).Round(time.Millisecond), out)
		return out
	}
	would := apply("--dry-run")
	require.Empty(t, c.patient("export"), "a dry run writes nothing")
	did := apply()
	told, _, _ := strings.Cut(would, " lines would change the registry")
	done, _, found := strings.Cut(did, " lines changed the registry")
	require.True(t, found)
	require.Equal(t, told, done, "a dry run counts what the replay does")
	require.Equal(t, a.want, c.patient("export"))
	whole := c.archive()
	require.Contains(t, apply("--dry-run"), "nothing would change")
	require.Contains(t, apply(), "nothing changed")
	require.Contains(t, apply("--dry-run"), "nothing would change")
	require.Equal(t, whole, c.archive())

	killed := onEmulators(t)
	checkpoint := filepath.Join(t.TempDir(), "checkpoint.json")
	first := killed.start("replay", "--yes", "--checkpoint", checkpoint, "--rate", strconv.Itoa(max(200, len(a.lines)/10)), file)
	require.Eventually(t, func() bool { return lineOf(checkpoint) >= len(a.lines)/2 }, time.Minute, time.Millisecond)
	first.Kill()
	first.Wait(10 * time.Second)
	there := strings.Count(killed.patient("export"), "\n")
	require.Less(t, there, strings.Count(a.want, "\n"), "it was the middle")
	line := lineOf(checkpoint)
	second := killed.run(exitDone, "replay", "--yes", "--checkpoint", checkpoint, "--rate", "unlimited", file)
	t.Logf("killed behind line %d of %d with %d resources there; then %s", line, len(a.lines), there, second.Stderr)
	require.Contains(t, second.Stderr.String(), "going on behind")
	require.Equal(t, a.want, killed.patient("export"))
	require.Equal(t, whole, killed.archive())
}

// lineOf is the line at which a checkpoint stands; 0 if there is none.
func lineOf(checkpoint string) int {
	text, _ := os.ReadFile(checkpoint)
	var stored replay.Checkpoint
	_ = json.Unmarshal(text, &stored)
	return stored.Position.Line
}
