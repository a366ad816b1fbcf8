//go:build proofs

package monitoring

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

const (
	threads        = "nexus-thread-created"
	moves          = "nexus-tenant-moved"
	topicOfLetters = "realtime-registry-dead-letters" // and its subscription
	soon           = 3 * time.Minute
)

// ofTime are the alerts that a busy machine may cause by itself.
var ofTime = []string{"RegistryEventsLate", "RegistryEventsLateSlowly", "RegistryCertificatesLate", "RegistryCertificatesLateSlowly"}

var (
	firedMu  sync.Mutex
	firedAll = map[string]bool{}
)

func fired(name string) {
	firedMu.Lock()
	defer firedMu.Unlock()
	firedAll[name] = true
}

// Each alert fires from what the real program measured, in a Prometheus that runs
// the shipped rules on a faster clock, when its fault is caused.
func TestProofEveryAlertFires(t *testing.T) {
	t.Run("faults", func(t *testing.T) {
		for name, cause := range map[string]func(*testing.T){
			"Firestore is away":                   firestoreIsAway,
			"Pub/Sub is away":                     func(t *testing.T) { pubsubIsAway(t, (*wire.Link).Refuse) },
			"Pub/Sub is silent":                   func(t *testing.T) { pubsubIsAway(t, (*wire.Link).Blackhole) },
			"a subscription and a topic are gone": thingsAreGone,
			"events wait":                         eventsWait,
			"events are refused":                  eventsAreRefused,
			"processes end":                       processesEnd,
			"a token is not known":                tokenIsNotKnown,
			"rewriting fails":                     rewritingFails,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); cause(t) })
		}
	})
	want := rules(t).alerts()
	slices.Sort(want)
	require.Equal(t, want, sorted(firedAll))
}

func firestoreIsAway(t *testing.T) {
	i := install(t)
	i.replay(created("0", time.Now(), "t_ada", "th_0"))
	api, worker := i.start("serve"), i.start("run")
	p := scrape(t, api.address, worker.address)
	api.traffic()
	i.send(threads, created("1", time.Now(), "t_ada", "th_1"))
	require.Eventually(t, func() bool { return len(p.query(`registry_message_lag_seconds_count`)) > 0 }, soon, time.Second)
	time.Sleep(20 * time.Second) // an ordinary time, as the rules see it
	require.Empty(t, p.firingBut(ofTime...))

	i.toStore.Refuse()
	i.send(threads, created("2", time.Now(), "t_ada", "th_2"))
	p.awaitAlerts(soon, "RegistryStoreDown", "RegistryStoreErrors", "RegistryRequestsFail",
		"RegistryChecksUnanswered", "RegistryChecksUnansweredSlowly",
		"RegistryCertificatesAged", "RegistryCertificatesLate", "RegistryCertificatesLateSlowly",
		"RegistryListenerLost", "RegistryThrottleUnsure", "RegistryEventsStuck")
	i.toStore.Restore()
	p.awaitQuiet(soon, "RegistryStoreDown", "RegistryStoreErrors", "RegistryRequestsFail", "RegistryChecksUnanswered",
		"RegistryCertificatesAged", "RegistryListenerLost", "RegistryThrottleUnsure", "RegistryEventsStuck")
}

// pubsubIsAway: whether connections are refused or swallowed, the same is told.
func pubsubIsAway(t *testing.T, fault func(*wire.Link)) {
	i := install(t)
	worker := i.start("run")
	p := scrape(t, worker.address)
	require.Eventually(t, func() bool { return len(p.query(`registry_store_up == 1`)) > 0 }, soon, time.Second)
	fault(i.toPubSub)
	p.awaitAlerts(soon, "RegistryPubSubSilent", "RegistryWorkerNotReceiving", "RegistryConsumerDown")
	i.toPubSub.Restore()
	p.awaitQuiet(soon, "RegistryPubSubSilent", "RegistryWorkerNotReceiving", "RegistryConsumerDown")
}

func thingsAreGone(t *testing.T) {
	i := install(t)
	worker := i.start("run", "--api")
	p := scrape(t, worker.address)
	client, err := pubsub.NewClient(t.Context(), i.project.ID, i.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool { return len(p.query(`registry_store_up == 1`)) > 0 }, soon, time.Second)

	topic := client.Publisher(topicOfLetters).String()
	require.NoError(t, client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: topic}))
	i.send(threads, "{}")
	p.awaitAlerts(soon, "RegistryDeadLettersUnsent", "RegistrySubscriptionFaults")
	// Its subscription stays without a topic, whatever topic comes.
	i.deleteSubscription(client, topicOfLetters)
	i.command("provision")
	p.awaitQuiet(soon, "RegistryDeadLettersUnsent", "RegistrySubscriptionFaults")

	i.deleteSubscription(client, threads+".realtime-registry")
	p.awaitAlerts(soon, "RegistryConsumerDown", "RegistrySubscriptionFaults")
	require.Equal(t, http.StatusOK, worker.ask(http.MethodGet, "/readyz/api", ""))
}

func (i *installation) deleteSubscription(client *pubsub.Client, name string) {
	i.t.Helper()
	require.NoError(i.t, client.SubscriptionAdminClient.DeleteSubscription(i.t.Context(), &pubsubpb.DeleteSubscriptionRequest{
		Subscription: client.Subscriber(name).String(),
	}))
}

// What waits for longer than a minute is settled slowly then, one message at a time.
func eventsWait(t *testing.T) {
	i := install(t)
	worker := i.start("run", "--max-outstanding", "1", "--streams", "1")
	p := scrape(t, worker.address)
	i.send(threads, created("0", time.Now(), "t_ada", "th_0"))
	require.Eventually(t, func() bool { return len(p.query(`registry_message_lag_seconds_count`)) > 0 }, soon, time.Second)
	i.toStore.Blackhole()
	var waiting []string
	for n := range 150 {
		waiting = append(waiting, created("w"+strconv.Itoa(n), time.Now(), "t_ada", "th_w"+strconv.Itoa(n)))
	}
	i.send(threads, waiting...)
	time.Sleep(70 * time.Second) // that they wait for: the alert is about minutes
	i.project.FirestoreRules.Distance(400 * time.Millisecond)
	i.toStore.Restore()
	p.awaitAlerts(soon, "RegistryEventsLate", "RegistryEventsLateSlowly", "RegistryBacklog")
}

func eventsAreRefused(t *testing.T) {
	i := install(t)
	now := time.Now()
	full := []string{created("full", now.Add(-2*time.Hour), "t_0", "th_full")}
	for n := range 1000 {
		full = append(full, moved(fmt.Sprint("m", n), now.Add(-time.Hour+time.Duration(n)*time.Millisecond), fmt.Sprint("t_", n%2), fmt.Sprint("t_", (n+1)%2), "th_full"))
	}
	i.replay(full...)
	worker := i.start("run")
	p := scrape(t, worker.address)
	require.Eventually(t, func() bool { return len(p.query(`registry_dead_letters_total == 0`)) > 0 }, soon, time.Second)
	require.Empty(t, p.firingBut(ofTime...))

	i.send(threads, "{}")
	i.send(moves, moved("last", now, "t_0", "t_new", "th_full"))
	p.awaitAlerts(soon, "RegistryDeadLetters", "RegistryMoveRefused")
	i.send(threads, created("ahead", now.Add(time.Hour), "t_ada", "th_ahead"))
	i.send(moves, moved("back", now.Add(-time.Hour), "t_x", "t_y"))
	p.awaitAlerts(soon, "RegistryClockApart")
	i.send(threads, created("true", now, "t_true", "th_d"))
	require.Eventually(t, func() bool { return len(p.query(`registry_events_total{outcome="applied"} > 0`)) > 0 }, soon, time.Second)
	i.send(threads, created("older", now.Add(-time.Minute), "t_older", "th_d"))
	p.awaitAlerts(soon, "RegistryEventDisplaced")

}

// laterFormat makes the document of a thread one of a later release.
func (i *installation) laterFormat(thread string) {
	i.t.Helper()
	client, err := firestore.NewClient(i.t.Context(), i.project.ID, i.project.FirestoreOptions()...)
	require.NoError(i.t, err)
	defer client.Close()
	_, err = client.Collection("realtime_registry").Doc("thread__"+thread).Update(i.t.Context(), []firestore.Update{{Path: "format", Value: 99}})
	require.NoError(i.t, err)
}

func processesEnd(t *testing.T) {
	i := install(t)
	file := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(file, []byte("policies: [{limit: 1000}]\n"), 0o600))
	api, worker := i.start("serve", "--throttle-policies", file), i.start("run")
	p := scrape(t, api.address, worker.address)
	require.Eventually(t, func() bool { return len(p.query(`registry_store_up{instance="`+api.address+`"} == 1`)) > 0 }, soon, time.Second)
	require.NoError(t, os.WriteFile(file, []byte("policies: [{limit: many}]\n"), 0o600))
	p.awaitAlerts(soon, "RegistryPoliciesRefused")
	require.NoError(t, os.WriteFile(file, []byte("policies: [{limit: 1000}]\n"), 0o600))

	for range 3 {
		since := func() float64 {
			for _, s := range p.query(`process_start_time_seconds{instance="` + api.address + `"}`) {
				return s.value
			}
			return 0
		}
		before := since()
		api.end()
		api.begin()
		require.Eventually(t, func() bool { return since() > before }, soon, time.Second)
	}
	p.awaitAlerts(soon, "RegistryRestarts")
	worker.end()
	p.awaitAlerts(soon, "RegistryTargetDown", "RegistryNoWorker")
}

func tokenIsNotKnown(t *testing.T) {
	i := install(t)
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte("a-token-that-nobody-has\n"), 0o600))
	api := i.start("serve", "--api-token-file", file)
	p := scrape(t, api.address)
	require.Eventually(t, func() bool { return len(p.query(`registry_api_tokens_refused_total == 0`)) > 0 }, soon, time.Second)
	api.traffic()
	p.awaitAlerts(soon, "RegistryTokensRefused")
}

func rewritingFails(t *testing.T) {
	i := install(t)
	i.replay(created("0", time.Now().Add(-time.Hour), "t_from", "th_0"))
	worker := i.start("run")
	p := scrape(t, worker.address)
	require.Eventually(t, func() bool { return len(p.query(`registry_store_up == 1`)) > 0 }, soon, time.Second)
	i.laterFormat("th_0")
	i.replay(moved("m", time.Now(), "t_from", "t_to"))
	p.awaitAlerts(soon, "RegistryRewritingStuck", "RegistryTooNew")
}
