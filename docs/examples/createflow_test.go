package examples

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// creator runs a create flow: of the tenant's thread, or, without, what an
// earlier run left.
type creator func(env []string, tenantAndThread ...string) *emulatortest.Process

// requireCreateFlow is what docs/seeding.md says of a create flow.
func requireCreateFlow(i installation, create creator, outbox func() int) {
	t := i.t
	t.Helper()
	// The client may connect when it is answered; the event follows.
	require.Contains(t, i.done(create(nil, "t_acme", "th_good")), "answer the client")
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_good"))
	i.awaitSettled(1)
	require.Zero(t, outbox())
	require.NotContains(t, i.worker("export", "--events"), "thread-created-th_good", "the claim stands for both")

	// Repeated: harmless.
	i.done(create(nil, "t_acme", "th_good"))
	require.Zero(t, outbox())

	// Pub/Sub is away: claimed all the same, published by the next run, whether
	// the flow gives up or is killed.
	away := []string{"PUBSUB_EMULATOR_HOST=" + nowhere}
	p := create(away, "t_acme", "th_unpublished")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stdout.String(), "answer the client")
	require.Contains(t, p.Stderr.String(), "waits in the outbox")
	p = create(away, "t_acme", "th_killed")
	p.AwaitLine("answer the client", soon)
	p.Kill()
	p.Wait(soon)
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_unpublished"))
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_killed"))
	require.Equal(t, 2, outbox())
	before := i.settled()
	i.done(create(nil))
	i.awaitSettled(before + 2)
	require.Zero(t, outbox())
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_unpublished"))

	// What breaks a pattern: refused with its reason, and nothing is left.
	for _, ids := range [][]string{{"acme", "th_refused"}, {"t_acme", "../evil"}, {"t_acme", "th refused"}, {"t_acme\n", "th_refused"}} {
		p = create(nil, ids...)
		require.Equal(t, 1, p.Wait(soon), ids)
		require.NotEmpty(t, p.Stderr.String())
		require.NotContains(t, p.Stderr.String(), "Traceback")
		require.Zero(t, outbox())
	}

	// Somebody else's id: refused, and nothing is left to publish.
	p = create(nil, "t_globex", "th_good")
	require.Equal(t, 1, p.Wait(soon))
	require.NotContains(t, p.Stderr.String(), "Traceback")
	require.Zero(t, outbox())
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_good"))
	require.Equal(t, http.StatusNotFound, i.status("t_globex", "th_good"))
}

func TestTheCreateFlowInPythonClaimsThenPublishes(t *testing.T) {
	t.Parallel()
	i := install(t)
	database := filepath.Join(t.TempDir(), "threads.sqlite3")
	create := func(env []string, args ...string) *emulatortest.Process {
		return i.python(append([]string{"DATABASE=" + database}, env...), os.DevNull, "publisher.py", args...)
	}
	outbox := func() int {
		query := `import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT COUNT(*) FROM outbox").fetchone()[0])`
		out, err := exec.Command("python3", "-c", query, database).Output()
		require.NoError(t, err)
		count, err := strconv.Atoi(strings.TrimSpace(string(out)))
		require.NoError(t, err)
		return count
	}
	requireCreateFlow(i, create, outbox)

	// A crash before the claim: the event alone makes the ownership.
	p := create([]string{"REGISTRY_URL=http://" + nowhere}, "t_acme", "th_unclaimed")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "the event waits in the outbox")
	require.NotContains(t, p.Stderr.String(), "Traceback")
	require.Equal(t, 1, create(nil, "t_globex", "th_unclaimed").Wait(soon), "it is acme's in the service's own database")
	require.Equal(t, 1, outbox())
	require.Equal(t, http.StatusNotFound, i.status("t_acme", "th_unclaimed"))
	i.done(create(nil))
	require.Eventually(t, func() bool { return i.status("t_acme", "th_unclaimed") == http.StatusNoContent }, soon, 10*time.Millisecond)

	// What is no event is named, stays, and holds up nothing.
	insert := `import sqlite3,sys; db=sqlite3.connect(sys.argv[1]); db.execute("INSERT INTO outbox VALUES ('../evil', 't_acme', '2026-01-01T00:00:00Z')"); db.commit()`
	out, err := exec.Command("python3", "-c", insert, database).CombinedOutput()
	require.NoError(t, err, "%s", out)
	p = create(nil, "t_acme", "th_behind")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "left in the outbox:\n'../evil' of 't_acme'")
	require.Equal(t, 1, outbox())

	p = create([]string{"GOOGLE_CLOUD_PROJECT="})
	require.Equal(t, 1, p.Wait(soon))
	require.Equal(t, []string{"GOOGLE_CLOUD_PROJECT is not set"}, p.Stderr.Lines())
}

func TestTheDeleteFlowInPythonEndsAThreadForGood(t *testing.T) {
	t.Parallel()
	i := install(t)
	env := []string{"DATABASE=" + filepath.Join(t.TempDir(), "threads.sqlite3")}
	i.done(i.python(env, os.DevNull, "publisher.py", "t_acme", "th_1"))
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_1"))

	p := i.python(append([]string{"PUBSUB_EMULATOR_HOST=" + nowhere}, env...), os.DevNull, "deletion.py", "th_1")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "the event waits in the outbox")
	i.done(i.python(env, os.DevNull, "deletion.py"))
	require.Eventually(t, func() bool { return i.status("t_acme", "th_1") == http.StatusNotFound }, soon, 10*time.Millisecond)

	p = i.python(env, os.DevNull, "publisher.py", "t_acme", "th_1")
	require.Equal(t, 1, p.Wait(soon), "its id is not used again")
	require.Contains(t, p.Stderr.String(), "refused")
}

func TestTheCreateFlowInGoClaimsThenPublishes(t *testing.T) {
	t.Parallel()
	i := install(t)
	program := filepath.Join(t.TempDir(), "publisher")
	out, err := exec.Command("go", "build", "-o", program, "./publisher").CombinedOutput()
	require.NoError(t, err, string(out))
	directory := t.TempDir()
	create := func(env []string, args ...string) *emulatortest.Process {
		return emulatortest.Run(t, append(append(i.env, "OUTBOX="+directory), env...), program, args...)
	}
	outbox := func() int {
		files, err := os.ReadDir(directory)
		require.NoError(t, err)
		return len(files)
	}
	requireCreateFlow(i, create, outbox)
	require.NoFileExists(t, filepath.Join(directory, "..", "evil.json"))

	// What is no event stays, is named, and holds up nothing.
	poisoned := filepath.Join(directory, "a.json")
	require.NoError(t, os.WriteFile(poisoned, []byte("{}"), 0o600))
	before := i.settled()
	p := create(nil, "t_acme", "th_behind")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), poisoned)
	i.awaitSettled(before + 1)
	require.Equal(t, 1, outbox())
}
