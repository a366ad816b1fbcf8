//go:build proofs

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// Ten thousand dead letters of four reasons are brought down to those that matter:
// what is hopeless is discarded, what a new worker takes is redriven, and the
// conflicts, which somebody has to decide about, are left.
func TestProofThatTenThousandDeadLettersComeDownToThoseThatMatter(t *testing.T) {
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, url := c.service("run")
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	topic := client.Publisher("realtime-registry-dead-letters")
	var results []*pubsub.PublishResult
	for reason, n := range map[events.Reason]int{events.Malformed: 6000, events.UnknownType: 2500, events.Schema: 1000, events.Conflict: 500} {
		for i := range n {
			id := fmt.Sprintf("%s-%d", reason, i)
			results = append(results, topic.Publish(t.Context(), &pubsub.Message{
				Data: fmt.Appendf(nil, `{"tenant_id":"t_a","thread_id":"th_%s"}`, id),
				Attributes: map[string]string{
					consumer.ReasonAttribute: string(reason), consumer.DetailAttribute: "no good", consumer.MessageIDAttribute: id,
					consumer.SubscriptionAttribute: events.ThreadCreatedType.Subscription(), "ce-specversion": "1.0", "ce-source": "//n",
					"ce-id": id, "ce-type": string(events.ThreadCreatedType), "ce-time": "2026-01-01T00:00:00Z",
				},
			}))
		}
	}
	for _, r := range results {
		_, err := r.Get(t.Context())
		require.NoError(t, err)
	}
	topic.Stop()
	timed := func(args ...string) string {
		began := time.Now()
		p := c.start(append([]string{"dead-letters"}, args...)...)
		require.Equal(t, exitDone, p.Wait(5*time.Minute), "%s", p.Stderr)
		t.Logf("%s: %s\n%s%s", strings.Join(args, " "), time.Since(began).Round(100*time.Millisecond), p.Stdout, p.Stderr)
		return p.Stdout.String() + p.Stderr.String()
	}
	require.Contains(t, timed("count"), "10000 dead letters")
	require.Contains(t, timed("purge", "--reason", "malformed,schema", "--yes"), "7000 dead letters discarded")
	require.Contains(t, timed("redrive", "--reason", "unknown_type", "--yes"), "2500 dead letters published again")
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") >= 2500 }, time.Minute, 100*time.Millisecond)
	require.Equal(t, 2500, strings.Count(c.export(), "th_unknown_type-"))
	require.Contains(t, timed("count"), "500 dead letters")
}

// manyLetters is more than a command holds at once (100,000), or what PROOFS_LETTERS says.
// More than 200,000 are in Google's fake of Pub/Sub: the emulator copies its whole backlog
// for each pull (jstack: MessageBacklog.updateExpiredAckDeadlines), and with a million a
// purge did not end within ten minutes.
func manyLetters(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PROOFS_LETTERS")
	if text == "" {
		return 130_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// However many dead letters there are, they are counted as far as a command can hold
// them, and discarded and published again to the last one.
func TestProofThatMoreDeadLettersThanACommandHoldsCanBeWorkedWith(t *testing.T) {
	c, n := onEmulators(t), manyLetters(t)
	if n > 200_000 {
		server := pstest.NewServer()
		defer server.Close()
		began := time.Now()
		server.SetTimeNowFunc(func() time.Time { return began.Add(time.Since(began) / 10) }) // it keeps messages for ten minutes
		c.project.PubSubHost = server.Addr
	}
	c.run(exitDone, "provision")
	topic := c.pubsub().Publisher(deadLetterTopic)
	timed(t, fmt.Sprint(n, " letters published"), func() {
		var last *pubsub.PublishResult
		for i := range n {
			reason := events.Malformed
			if i%100 == 0 {
				reason = events.UnknownType
			}
			id := strconv.Itoa(i)
			last = topic.Publish(t.Context(), &pubsub.Message{Data: []byte(`{"tenant_id":"t_a","thread_id":"th_` + id + `"}`), Attributes: map[string]string{
				consumer.ReasonAttribute: string(reason), consumer.DetailAttribute: "no good", consumer.MessageIDAttribute: id,
				consumer.SubscriptionAttribute: events.ThreadCreatedType.Subscription(), "ce-specversion": "1.0", "ce-source": "//n",
				"ce-id": id, "ce-type": string(events.ThreadCreatedType), "ce-time": "2026-01-01T00:00:00Z",
			}})
			if i%10_000 == 0 {
				_, err := last.Get(t.Context())
				require.NoError(t, err)
			}
		}
		topic.Stop() // it waits for all
	})
	command := func(args ...string) (out string) {
		timed(t, strings.Join(args, " "), func() {
			p := c.start(append([]string{"dead-letters"}, args...)...)
			require.Equal(t, exitDone, p.Wait(time.Duration(max(10, n/25_000))*time.Minute), "%s", p.Stderr)
			out = "\n" + p.Stdout.String() + "\n" + p.Stderr.String()
		})
		return out
	}
	require.Contains(t, command("count"), "\nthere are more")
	for !strings.Contains(command("purge", "--reason", "malformed", "--yes"), "\n0 dead letters discarded") {
	}
	letters := fmt.Sprint((n+99)/100, " dead letters")
	require.Contains(t, command("count"), "\n"+letters)
	require.Contains(t, command("redrive", "--yes"), "\n"+letters+" published again")
	require.Contains(t, command("count"), "\n0 dead letters")
}
