package examples

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/browser"
)

// withNode returns a Node, beside which `make javascript` has installed what the
// examples need.
func withNode(t *testing.T) string {
	t.Helper()
	node := emulatortest.Program(t, "node")
	find := exec.Command(node, "-e", `require.resolve("@google-cloud/pubsub")`)
	find.Dir = "javascript"
	if out, err := find.CombinedOutput(); err != nil {
		emulatortest.NotInstalled(t, fmt.Errorf("Google's client of Pub/Sub for Node is not here, which `make javascript` installs: %w: %s", err, out))
	}
	return node
}

func TestTheCreateFlowInNodeClaimsThenPublishes(t *testing.T) {
	node := withNode(t)
	i := install(t)
	outbox := filepath.Join(t.TempDir(), "outbox")
	create := func(env []string, args ...string) *emulatortest.Process {
		env = append(append(i.env[:len(i.env):len(i.env)], "OUTBOX="+outbox), env...)
		return emulatortest.Run(t, env, node, append([]string{"javascript/publisher.js"}, args...)...)
	}
	files := func() int {
		entries, err := os.ReadDir(outbox)
		require.NoError(t, err)
		return len(entries)
	}
	requireCreateFlow(i, create, files)

	// A crash before the claim: the event alone makes the ownership.
	p := create([]string{"REGISTRY_URL=http://" + nowhere}, "t_acme", "th_unclaimed")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "the event waits in the outbox")
	i.done(create(nil))
	i.awaitEvent("thread-created-th_unclaimed")
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_unclaimed"))
}

// A page with stream.js, before a server that answers as a proxy without a stream of
// its own would: in plain statuses.
func TestTheEventSourceForBrowsersComesBackFromPlainStatuses(t *testing.T) {
	var mu sync.Mutex
	var asked []string // what each EventSource resumed with
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) {
			stream(w, "id: 7\ndata: hello\n\nretry: 10\nevent: registry.closed\ndata: registry_unavailable\n\n")
		},
		func(w http.ResponseWriter) { refuse(w, http.StatusTooManyRequests) }, // with Last-Event-ID, by the browser itself
		func(w http.ResponseWriter) {
			stream(w, "id: 8\ndata: again\n\nretry: 10\nevent: registry.closed\ndata: ownership_lost\n\n")
		},
		func(w http.ResponseWriter) { refuse(w, http.StatusNotFound) },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		now := min(len(asked), len(answers)-1)
		if r.Header.Get("Accept") == "text/event-stream" { // else it is for the status of the one before
			asked = append(asked, r.URL.Query().Get("lastEventId"))
		} else {
			now = len(asked) - 1
		}
		answers[now](w)
	})
	mux.Handle("GET /stream.js", http.FileServer(http.Dir("javascript")))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<script type="module">
			import { openStream } from './stream.js'
			window.seen = []
			const saw = what => window.seen.push([performance.now(), '/stream', what])
			openStream('/stream', { message: e => saw('message ' + e.data), closed: reason => saw('closed ' + reason), gone: status => saw('gone ' + status) })
		</script>`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	page := browser.OpenURL(t, server.URL)
	for _, what := range []string{"message hello", "closed registry_unavailable", "message again", "closed ownership_lost", "gone 404"} {
		page.Await("/stream", what, soon)
	}
	require.Len(t, page.Seen(), 5)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"", "", "", "7", "7"}, asked, "a new EventSource resumes by the query")
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(status)
}

func stream(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, text)
}
