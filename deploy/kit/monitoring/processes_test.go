//go:build proofs

package monitoring

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// installation is a project with its topics, and processes of the real program.
type installation struct {
	t        *testing.T
	project  emulatortest.Project
	toStore  *wire.Link // from its processes to Firestore
	toPubSub *wire.Link
}

func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, project: emulatortest.Both(t)}
	i.command("provision")
	i.toStore, i.toPubSub = link(t, i.project.FirestoreHost), link(t, i.project.PubSubHost)
	return i
}

func link(t *testing.T, to string) *wire.Link {
	t.Helper()
	l, err := wire.NewLink(to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// command runs a command to its end, past the links.
func (i *installation) command(args ...string) {
	i.t.Helper()
	p := emulatortest.Run(i.t, i.project.Environ(), emulatortest.Binary(i.t), args...)
	require.Zero(i.t, p.Wait(5*time.Minute), "%v: %s", args, p.Stderr)
}

// service is a process at an address that it keeps when it is restarted.
type service struct {
	*installation
	address string
	args    []string
	process *emulatortest.Process
}

func (i *installation) start(args ...string) *service {
	i.t.Helper()
	s := &service{installation: i, address: emulatortest.FreeAddress(i.t), args: args}
	s.begin()
	return s
}

func (s *service) begin() {
	s.t.Helper()
	environ := []string{
		"GOOGLE_CLOUD_PROJECT=" + s.project.ID, "REGISTRY_SHUTDOWN_DELAY=0s",
		"FIRESTORE_EMULATOR_HOST=" + s.toStore.Addr(), "PUBSUB_EMULATOR_HOST=" + s.toPubSub.Addr(),
	}
	s.process = emulatortest.Run(s.t, environ, emulatortest.Binary(s.t),
		append(s.args, "--listen", s.address, "--log-format", "json")...)
	s.process.AwaitLine(`"listening"`, time.Minute)
	require.Eventually(s.t, func() bool { return s.ask(http.MethodGet, "/readyz", "") == http.StatusOK }, time.Minute, 50*time.Millisecond)
}

func (s *service) end() {
	s.t.Helper()
	s.process.Signal(syscall.SIGTERM)
	s.process.Wait(time.Minute)
}

// ask returns the status of a request by a tenant, 0 if there is no answer.
func (s *service) ask(method, path, tenant string) int {
	request, err := http.NewRequest(method, "http://"+s.address+path, nil)
	if err != nil {
		return 0
	}
	request.Header.Set("X-Tenant-Id", tenant)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// traffic asks all that there is to ask, until the test ends: checks of what is
// owned, of what is not, claims, and takes.
func (s *service) traffic() {
	stop := make(chan struct{})
	var group sync.WaitGroup
	s.t.Cleanup(func() { close(stop); group.Wait() })
	for client := range 4 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				s.ask(http.MethodGet, "/v1/threads/th_0/access", "t_ada")
				s.ask(http.MethodGet, "/v1/threads/th_0/access", "t_eve")
				s.ask(http.MethodPut, fmt.Sprintf("/v1/threads/th_%d_%d", client, n), "t_ada")
				s.ask(http.MethodPost, fmt.Sprintf("/v1/quota/action_%d/take", n), "t_ada")
				s.ask(http.MethodPost, "/v1/quota/chat_send/take", "t_ada")
			}
		})
	}
}

// event is a line of an archive.
func event(id, typ string, at time.Time, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"//test","type":%q,"time":%q,"data":%s}`, id, typ, at.UTC().Format(time.RFC3339Nano), data)
}

func created(id string, at time.Time, tenant, thread string) string {
	return event(id, "nexus.thread.created.v1", at, fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread))
}

func moved(id string, at time.Time, from, to string, threads ...string) string {
	resources := ""
	if len(threads) > 0 {
		var all []string
		for _, thread := range threads {
			all = append(all, fmt.Sprintf(`{"kind":"thread","id":%q}`, thread))
		}
		resources = `,"resources":[` + strings.Join(all, ",") + "]"
	}
	return event(id, "nexus.tenant.moved.v1", at, fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q%s}`, from, to, resources))
}

// replay applies events past the worker.
func (i *installation) replay(lines ...string) {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "events.ndjson")
	require.NoError(i.t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	i.command("replay", "--yes", file)
}

// send publishes events as they are, to a topic: what no command would publish too.
func (i *installation) send(topic string, events ...string) {
	i.t.Helper()
	client, err := pubsub.NewClient(i.t.Context(), i.project.ID, i.project.PubSubOptions()...)
	require.NoError(i.t, err)
	defer client.Close()
	publisher := client.Publisher(topic)
	defer publisher.Stop()
	var sent []*pubsub.PublishResult
	for _, e := range events {
		sent = append(sent, publisher.Publish(i.t.Context(), &pubsub.Message{
			Data: []byte(e), Attributes: map[string]string{"content-type": "application/cloudevents+json"},
		}))
	}
	for _, s := range sent {
		_, err := s.Get(i.t.Context())
		require.NoError(i.t, err)
	}
}
