package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// A database is lost and restored from a backup that was made before anything was
// stored: here, another prefix. The topics keep what came since.
func TestReplaySinceBringsEventsClaimsAndRetractionsBack(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	require.Contains(t, c.run(exitDone, "provision").Stdout.String(), "create log realtime-registry-log")
	require.Contains(t, c.run(exitDone, "provision").Stdout.String(), "keep   log realtime-registry-log")
	old, url := c.service("run", "--api")
	for i := range 20 {
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, fmt.Sprint(url, "/v1/threads/claimed_", i), "t_ada"))
	}
	c.run(exitDone, "publish", write(t,
		created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"),
		event("m1", "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z", `{"from_tenant_id":"t_ada","to_tenant_id":"t_bob"}`),
		event("m2", "nexus.tenant.moved.v1", time.Now().UTC().Format(time.RFC3339Nano), `{"from_tenant_id":"t_ada","to_tenant_id":"t_eve"}`)))
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") == 3 }, 30*time.Second, 50*time.Millisecond)
	c.run(exitDone, "moves", "retract", "m2", "--yes", "--by", "kim", "--reason", "a mistake")
	require.Eventually(t, func() bool { return sum(t, url, "registry_log_published_total") == 20 }, 30*time.Second, 50*time.Millisecond)
	want := c.run(exitDone, "export").Stdout.String()
	require.Equal(t, 21, strings.Count(want, "\n"))
	require.Contains(t, want, `"claimed_1","tenant_id":"t_ada"`)

	old.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, old.Wait(30*time.Second))
	restored := c
	restored.env = append(restored.env, "REGISTRY_COLLECTION_PREFIX=restored_")
	require.Contains(t, restored.run(exitDone, "provision").Stderr.String(), "a new registry: there is no registry in")
	brought := restored.run(exitDone, "replay", "--since", "1h", "--yes", "--into-empty")
	require.Contains(t, brought.Stderr.String(), "21 messages of the log read")
	require.Contains(t, brought.Stderr.String(), "5 subscriptions rewound")
	require.Regexp(t, `claims\s+20\s+20`, brought.Stdout.String())
	require.Regexp(t, `move retracted\s+1\s+1`, brought.Stdout.String())
	_, url = restored.service("run")
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") == 3 }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, want, restored.run(exitDone, "export").Stdout.String())
	require.Contains(t, restored.run(exitDone, "moves", "list").Stdout.String(), "a mistake")

	again := restored.run(exitDone, "replay", "--since", "1h", "--yes")
	require.Contains(t, again.Stdout.String(), "nothing changed", "repeating it is harmless")
}

// Who may publish to the log could claim, move and retract, and no more.
func TestTheLogBringsNothingButClaimsMovesAndRetractions(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	publisher := client.Publisher("realtime-registry-log")
	for _, line := range []string{
		created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"),
		event("asserted/thread__th_2/2024-01-01T00:00:00Z", "registry.asserted.v1", "2024-01-01T00:00:00Z", `{"tenant_id":"t_ada","resource":{"kind":"thread","id":"th_2"}}`),
		event("archive", "registry.archive.began.v1", "2024-01-01T00:00:00Z", `{}`),
		"not json",
		strings.Replace(event("thread__th_3__t_ada", "registry.claimed.v1", "2024-01-01T00:00:00Z", `{"tenant_id":"t_ada","resource":{"kind":"thread","id":"th_3"}}`), "//test", "registry", 1),
	} {
		_, err := publisher.Publish(t.Context(), &pubsub.Message{Data: []byte(line)}).Get(t.Context())
		require.NoError(t, err)
	}
	publisher.Stop()
	p := c.run(exitFault, "replay", "--since", "1h", "--yes", "--into-empty")
	require.Contains(t, p.Stderr.String(), "4 messages of the registry's log refused")
	require.Contains(t, p.Stderr.String(), "5 subscriptions rewound")
	require.Contains(t, p.Stderr.String(), "unknown_type")
	require.Equal(t, `{"kind":"thread","id":"th_3","tenant_id":"t_ada"}`+"\n", c.run(exitDone, "export").Stdout.String())
}

// What is missing: the database that is meant, the registry's log, its subscription.
func TestReplaySinceChangesNothingIfItCannotBringAllBack(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1")))
	worker, url := c.service("run")
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") == 1 }, 30*time.Second, 50*time.Millisecond)
	worker.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, worker.Wait(30*time.Second))
	with := func(env string) program {
		p := c
		p.env = append(slices.Clone(p.env), env)
		return p
	}
	refused := func(p program, why string) {
		t.Helper()
		got := p.run(exitFault, "replay", "--since", "1h", "--yes").Stderr.String()
		require.Contains(t, got, why)
		require.Regexp(t, "[Nn]othing was changed", got)
		require.Equal(t, fine, c.examined(exitDone)["backlog of nexus-thread-created.realtime-registry"].Verdict, "nothing is delivered again")
	}
	refused(with("FIRESTORE_DATABASE=wrong"), "there is no registry in project "+c.project.ID+", database wrong")
	fresh := with("FIRESTORE_DATABASE=fresh")
	fresh.run(exitDone, "provision")
	refused(fresh, "the registry in project "+c.project.ID+", database fresh")
	without := with("REGISTRY_COLLECTION_PREFIX=no_log_")
	without.replay(created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	refused(without, "the registry does not say that it has a log: registry-worker provision says it")
	refused(with("REGISTRY_LOG_TOPIC=another-log"), "the registry's log cannot be read: there is no subscription another-log")

	refused(with("REGISTRY_SUBSCRIPTIONS=nexus-thread-created.realtime-registry,nexus-thread-created.gone"), "1 subscription is not there: nexus-thread-created.gone; registry-worker provision makes it")

	got := without.run(exitDone, "replay", "--since", "1h", "--yes", "--without-log").Stderr.String()
	require.Contains(t, got, "The registry's log is NOT applied (--without-log)")
	require.Contains(t, got, "5 subscriptions rewound")
	require.NotEqual(t, "nothing waits that no worker has taken", c.examined(exitDone)["backlog of nexus-thread-created.realtime-registry"].Detail)
}

func TestAProcessWithoutALogSaysSo(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	p, url := c.service("serve")
	require.Contains(t, p.Stderr.String(), "there is no registry in project "+c.project.ID+", database (default)", "it may be the wrong database")
	require.Contains(t, p.Stderr.String(), "--database (FIRESTORE_DATABASE) names another than (default)")
	require.NotContains(t, p.Stderr.String(), noLog, "one warning, of the worse")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_ada"))
	p, _ = c.service("serve")
	require.Contains(t, p.Stderr.String(), noLog)
	c.run(exitDone, "provision")
	p, _ = c.service("serve")
	require.NotContains(t, p.Stderr.String(), noLog)
}

func TestTheDoctorTellsAnOutboxThatGrows(t *testing.T) {
	now := time.Now()
	for waited, want := range map[time.Duration]verdict{0: fine, 2 * time.Minute: fine, 6 * time.Minute: wrong} {
		d := &doctor{invocation: &invocation{Config: &config.Config{LogTopic: "the-log"}}}
		state := ownership.OutboxState{At: now}
		if waited > 0 {
			state.Waiting, state.Oldest = 3, now.Add(-waited)
		}
		d.saysOutbox(now.Add(-time.Hour), state)
		require.Equal(t, want, d.found[0].Verdict, waited)
		require.Equal(t, want == wrong, strings.Contains(d.found[0].Fix, "the-log"))
	}
}
