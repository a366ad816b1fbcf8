package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// attacked is a worker with its API, and somebody who may publish anything.
type attacked struct {
	program
	worker  *emulatortest.Process
	url     string
	anybody *pubsub.Client
}

func underAttack(t *testing.T, flags ...string) attacked {
	c := onEmulators(t)
	c.run(exitDone, "provision")
	worker, url := c.service(append([]string{"run", "--api", "--streams", "1"}, flags...)...)
	anybody, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { anybody.Close() })
	return attacked{c, worker, url, anybody}
}

// send publishes an event in binary mode, unchecked, as any program may.
func (a attacked) send(topic, id, typ string, at time.Time, data string) {
	a.t.Helper()
	attributes := map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "//n", "ce-type": typ, "ce-time": at.UTC().Format(time.RFC3339Nano),
	}
	_, err := a.anybody.Publisher(topic).Publish(a.t.Context(), &pubsub.Message{Attributes: attributes, Data: []byte(data)}).Get(a.t.Context())
	require.NoError(a.t, err)
}

func (a attacked) create(id, tenant, thread string, at time.Time) {
	a.t.Helper()
	a.send("nexus-thread-created", id, "nexus.thread.created.v1", at, fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread))
}

func (a attacked) move(id string, at time.Time, from, to string) {
	a.t.Helper()
	a.send("nexus-tenant-moved", id, "nexus.tenant.moved.v1", at, fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q}`, from, to))
}

func (a attacked) owns(tenant, thread string) bool {
	a.t.Helper()
	return get(a.t, a.url+"/v1/threads/"+thread+"/access", tenant) == http.StatusNoContent
}

func (a attacked) await(what func() bool, why string) {
	a.t.Helper()
	require.Eventually(a.t, what, 30*time.Second, 20*time.Millisecond, why)
}

// counted reports whether a metric has a line with all the parts and the value.
func (a attacked) counted(value int, parts ...string) func() bool {
	return func() bool {
		answer, err := http.Get(a.url + "/metrics")
		require.NoError(a.t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(a.t, err)
		for line := range strings.Lines(string(text)) {
			ok := strings.HasSuffix(strings.TrimSpace(line), fmt.Sprintf(" %d", value))
			for _, part := range parts {
				ok = ok && strings.Contains(line, part)
			}
			if ok {
				return true
			}
		}
		return false
	}
}

func (a attacked) deadLetters() string {
	a.t.Helper()
	return a.run(exitDone, "dead-letters", "list", "--json").Stdout.String()
}

func (a attacked) requireLogged(level string, parts ...string) {
	a.t.Helper()
	a.await(func() bool {
		for _, line := range a.worker.Stderr.Lines() {
			ok := strings.Contains(line, fmt.Sprintf(`"level":%q`, level))
			for _, part := range parts {
				ok = ok && strings.Contains(line, part)
			}
			if ok {
				return true
			}
		}
		return false
	}, strings.Join(parts, ", "))
}
