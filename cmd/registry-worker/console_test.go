package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/console"
)

// consoleJSON is the JSON at a path of the console.
func consoleJSON(t *testing.T, url, token string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", url, text)
	require.NoError(t, json.Unmarshal(text, into), "%s: %s", url, text)
}

// sampled is the first sample of the live numbers that is enough.
func sampled(t *testing.T, url, token string, enough func(console.Sample) bool) (found console.Sample) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/console/api/live", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := (&http.Client{Timeout: time.Minute}).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	rest := ""
	for buffer := make([]byte, 64<<10); ; {
		n, err := answer.Body.Read(buffer)
		require.NoError(t, err, "the last sample: %+v", found)
		events := strings.Split(rest+string(buffer[:n]), "\n\n")
		rest = events[len(events)-1]
		for _, event := range events[:len(events)-1] {
			if data, is := strings.CutPrefix(event, "event: sample\ndata: "); is {
				found = console.Sample{}
				require.NoError(t, json.Unmarshal([]byte(data), &found))
				if enough(found) {
					return found
				}
			}
		}
	}
}

const consoleToken = "0123456789abcdef"

// What serve shows is what worker, ledger, throttle and dead letters have.
func TestTheConsoleOfServeShowsItsWorkerAndWhatIsLookedFor(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = []string{"REGISTRY_API_TOKEN=" + consoleToken}
	c.run(exitDone, "provision")
	_, worker := c.service("run")
	_, serve := c.service("serve", "--console-peers", worker)
	total := func(s console.Sample, counter, name string) float64 {
		for _, n := range s.Counts[counter] {
			if n.Name == name {
				return n.Total
			}
		}
		return 0
	}
	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1")))
	sampled(t, serve, consoleToken, func(s console.Sample) bool { return total(s, "events_by_outcome", "applied") == 1 })
	// After the first, else it would take its place and be no conflict.
	c.run(exitDone, "publish", write(t, created("2", "2024-01-02T00:00:00Z", "t_eve", "th_1")))
	c.run(exitDone, "publish", write(t, tenantMoved("m", "2024-02-01T00:00:00Z", "t_ada", "t_bob")))
	for range 101 {
		r, err := http.NewRequest(http.MethodPost, serve+"/v1/quota/stream_connect/take", nil)
		require.NoError(t, err)
		r.Header.Set("X-Tenant-Id", "t_bob")
		r.Header.Set("Authorization", "Bearer "+consoleToken)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		answer.Body.Close()
	}
	s := sampled(t, serve, consoleToken, func(s console.Sample) bool {
		return total(s, "events_by_outcome", "applied") == 2 && total(s, "dead_letters", "conflict") == 1
	})
	require.Len(t, s.Processes, 2)
	require.True(t, s.Processes[0].API && !s.Processes[0].Worker && s.Processes[1].Worker && s.Processes[1].Ready, "%+v", s.Processes)
	require.Len(t, s.Throttled, 1)
	require.Equal(t, "t_bob", s.Throttled[0].Tenant)

	var found inspection
	consoleJSON(t, serve+"/console/api/resources/thread/th_1", consoleToken, &found)
	require.Equal(t, "t_bob", found.Owner)
	require.Len(t, found.Steps, 2)
	var tenant struct {
		Moves   movesPage
		Windows windowsPage
	}
	consoleJSON(t, serve+"/console/api/tenants/t_bob", consoleToken, &tenant)
	require.Len(t, tenant.Moves.Moves, 1)
	require.Len(t, tenant.Windows.Windows, 1)
	require.EqualValues(t, 100, tenant.Windows.Windows[0].Count)
	for _, path := range []string{"moves", "moves/%2F%2Ftest/m"} {
		var moves movesPage
		consoleJSON(t, serve+"/console/api/"+path, consoleToken, &moves)
		require.Len(t, moves.Moves, 1, path)
		require.Equal(t, "t_ada", moves.Moves[0].From)
	}
	var letters lettersPage
	consoleJSON(t, serve+"/console/api/dead-letters", consoleToken, &letters)
	require.Len(t, letters.Letters, 1)
	require.Equal(t, "2", letters.Letters[0].EventID)
	require.Nil(t, letters.Letters[0].Data, "bodies stay where they are")
}

func TestTheConsoleIsThereOnLoopbackAndElsewhereIfItWasAskedFor(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{
		"--listen 127.0.0.1:0":               http.StatusOK,
		"--listen 127.0.0.1:0 --console off": http.StatusNotFound,
		"--listen 0.0.0.0:0":                 http.StatusNotFound,
		"--listen 0.0.0.0:0 --console on":    http.StatusOK,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			c := onEmulators(t)
			c.env = []string{"REGISTRY_API_TOKEN=" + consoleToken}
			p := c.start(append([]string{"serve", "--log-format", "json", "--log-level", "info"}, strings.Fields(args)...)...)
			url := strings.Replace(addressIn(p.AwaitLine(`"msg":"listening"`, 30*time.Second)), "[::]", "127.0.0.1", 1)
			require.Equal(t, want, get(t, url+"/console", ""))
			if want == http.StatusOK {
				require.Equal(t, http.StatusUnauthorized, get(t, url+"/console/api/moves", ""))
			}
		})
	}
}

func TestDevOnMemoryHasAConsole(t *testing.T) {
	t.Parallel()
	p := emulatortest.Run(t, hidden(t), emulatortest.Binary(t), "dev", "--registry-backend", "memory", "--listen", "127.0.0.1:0")
	url := strings.TrimSuffix(strings.TrimSpace(p.AwaitLine("/console", shownWithin)), "/console")
	var found inspection
	consoleJSON(t, url+"/console/api/resources/thread/th_support", "", &found)
	require.Equal(t, "t_umbrella", found.Owner)
	require.Equal(t, http.StatusNotImplemented, get(t, url+"/console/api/dead-letters", ""), "without Pub/Sub they are kept nowhere")
	require.Contains(t, p.AwaitLine("Ctrl-C ends it", shownWithin), "Ctrl-C")
}
