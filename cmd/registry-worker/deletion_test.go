package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told asks for a watch of one ownership, and returns the lines of its answer.
func told(t *testing.T, url, tenant, thread string) <-chan string {
	t.Helper()
	body := fmt.Sprintf(`{"resources":[{"tenant_id":%q,"kind":"thread","id":%q}]}`, tenant, thread)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/watch", strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(response.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// await returns once a line has come that contains a text.
func await(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			require.True(t, ok, "the answer ended without %q", text)
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			require.Fail(t, "no line has come", text)
		}
	}
}

func TestADeletionEndsStreamsAndStaysWhateverIsReplayed(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	creations := write(t,
		created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"),
		created("2", "2024-01-01T00:00:00Z", "t_ada", "th_2"),
		event("3", "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z", `{"from_tenant_id":"t_ada","to_tenant_id":"t_bob","resources":[{"kind":"thread","id":"th_1"}]}`))
	_, url := c.service("run", "--api")
	c.run(exitDone, "publish", creations)
	status := func(thread, tenant string) int { return get(t, url+"/v1/threads/"+thread+"/access", tenant) }
	require.Eventually(t, func() bool { return status("th_1", "t_bob") == http.StatusNoContent }, 30*time.Second, 20*time.Millisecond)
	lines := told(t, url, "t_bob", "th_1")
	await(t, lines, "event: certified")

	deletions := write(t,
		event("4", "nexus.thread.deleted.v1", "2023-01-01T00:00:00Z", `{"thread_id":"th_1"}`),
		event("5", "nexus.canvas.deleted.v1", "2024-01-01T00:00:00Z", `{"canvas_id":"never_created"}`))
	require.Contains(t, c.run(exitDone, "publish", deletions).Stderr.String(), "2 events published")
	await(t, lines, "event: lost")
	require.Equal(t, http.StatusNotFound, status("th_1", "t_bob"))
	require.Equal(t, http.StatusConflict, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_ada"))

	c.run(exitDone, "publish", creations)
	replayed := c.run(exitDone, "replay", "--yes", "--rate", "unlimited", creations, deletions).Stdout.String()
	require.Regexp(t, `(?m)^\s*thread created\s+2\s+0\s+0\s+1\s+1\s+0`, replayed, "one of two creations is of what has gone")
	require.Equal(t, http.StatusNotFound, status("th_1", "t_bob"))
	require.Equal(t, http.StatusNoContent, status("th_2", "t_ada"))
	require.NotContains(t, c.export(), "th_1")
	require.Empty(t, c.export("--check"))

	require.Contains(t, c.run(exitDone, "inspect", "thread", "th_1").Stdout.String(), "thread/th_1: deleted at 2023-01-01T00:00:00Z")
	require.Contains(t, c.run(exitFault, "check", "t_bob", "thread", "th_1").Stdout.String(), "no: it was deleted at 2023-01-01T00:00:00Z")
	require.NotContains(t, c.run(exitDone, "inspect", "--json", "thread", "th_1").Stdout.String(), "t_bob")

	archive := write(t, c.archive())
	require.Contains(t, c.archive(), `"id":"deleted/thread__th_1","source":"registry","type":"nexus.thread.deleted.v1"`)
	again := onEmulators(t)
	again.run(exitDone, "replay", "--yes", "--rate", "unlimited", archive)
	again.run(exitDone, "replay", "--yes", "--rate", "unlimited", creations)
	require.Contains(t, again.run(exitDone, "inspect", "thread", "th_1").Stdout.String(), "deleted at 2023-01-01T00:00:00Z", "an archive makes a registry the same, deletions too")
	require.Equal(t, c.export(), again.export())
}
