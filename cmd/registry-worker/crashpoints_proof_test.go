//go:build proofs

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// Every command that writes, as a process of its own, is killed before and after each of
// its calls that have an effect.
func TestProofThatACommandThatIsKilledAtAnyPointIsDoneOnceAfterAll(t *testing.T) {
	total := 0
	for _, k := range killables() {
		t.Run(k.name, func(t *testing.T) {
			began := time.Now()
			points := k.enumerate(t)
			require.Positive(t, points)
			t.Logf("%s: %d points in %s", k.name, points, time.Since(began).Round(time.Second))
			total += points
		})
	}
	t.Logf("%d points", total)
	require.Positive(t, total)
}

const deadLetterTopic = "realtime-registry-dead-letters"

func killables() []killable {
	const at = "2024-01-01T00:00:00Z"
	move := tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b")
	return []killable{
		retracting,
		{
			name: "replay",
			args: func(c program) []string {
				dir := c.t.TempDir()
				return []string{"replay", "--yes", "--rate", "unlimited", "--checkpoint", filepath.Join(dir, "checkpoint"),
					write(c.t, append(threads("t_a", "th", 3), move, event("n", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z",
						`{"from_tenant_id":"t_b","to_tenant_id":"t_c","resources":[{"kind":"thread","id":"th_00001"}]}`))...)}
			},
			holds: func(c program) bool {
				return c.export() == exported("th_00000", "t_b", "th_00001", "t_c", "th_00002", "t_b")
			},
		},
		{
			name:   "moves start",
			before: func(c program) { c.replay(threads("t_a", "th", 2)...) },
			args: func(program) []string {
				return []string{"moves", "start", "--from", "t_a", "--to", "t_b", "--id", "m", "--by", "alice", "--yes"}
			},
			holds: func(c program) bool {
				return len(c.rewriting()) == 1 && c.export() == exported("th_00000", "t_b", "th_00001", "t_b")
			},
		},
		{
			name:   "moves start of a kind",
			before: func(c program) { c.replay(threads("t_a", "th", 2)...) },
			args: func(program) []string {
				return []string{"moves", "start", "--from", "t_a", "--to", "t_b", "--kind", "thread", "--id", "m", "--yes"}
			},
			holds: func(c program) bool { return c.export() == exported("th_00000", "t_b", "th_00001", "t_b") },
		},
		{
			name: "replay --since",
			before: func(c program) {
				c.run(exitDone, "provision")
				c.replay(append(threads("t_a", "th", 2), move)...)
				c.publishTo("realtime-registry-log",
					strings.Replace(event("thread__th_c__t_c", "registry.claimed.v1", at, `{"tenant_id":"t_c","resource":{"kind":"thread","id":"th_c"}}`), "//test", "registry", 1),
					strings.Replace(event("retracted/1", "registry.retracted.v1", at, `{"event_source":"//test","event_id":"m","by":"alice"}`), "//test", "registry", 1),
					event("named", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z", `{"from_tenant_id":"t_a","to_tenant_id":"t_d","resources":[{"kind":"thread","id":"th_00001"}]}`),
					tenantMoved("whole", "2024-01-04T00:00:00Z", "t_a", "t_e"))
				c.publishTo(events.ThreadCreatedType.Topic(), created("new", at, "t_a", "new"))
				c.settleOne(events.ThreadCreatedType.Subscription())
			},
			args: func(program) []string { return []string{"replay", "--since", "1h", "--yes", "--rate", "unlimited"} },
			holds: func(c program) bool {
				return c.export() == exported("th_00000", "t_e", "th_00001", "t_d", "th_c", "t_c") && c.rewriting()["m"].Retracted &&
					c.held(events.ThreadCreatedType.Subscription())["new"]
			},
		},
		{
			name: "provision",
			args: func(program) []string { return []string{"provision"} },
			holds: func(c program) bool {
				return !strings.Contains("\n"+c.run(exitDone, "provision", "--dry-run").Stdout.String(), "\ncreate ")
			},
		},
		{
			name: "quota reset",
			args: func(program) []string {
				return []string{"quota", "reset", "t_a", "chat_send", "--by", "alice", "--yes"}
			},
			holds: func(c program) bool {
				return strings.Contains(c.run(exitDone, "quota", "show", "t_a", "chat_send").Stdout.String(), "alice")
			},
		},
		{
			name:   "upgrade --finish",
			before: func(c program) { c.replay(created("1", at, "t_a", "th_1")) },
			args:   func(program) []string { return []string{"upgrade", "--finish", "--yes"} },
			holds:  func(c program) bool { return c.export() == exported("th_1", "t_a") },
		},
		{
			name:   "upgrade --plain-sets over",
			before: func(c program) { c.replay(created("1", at, "t_a", "th_1")) },
			args:   func(program) []string { return []string{"upgrade", "--plain-sets", "over", "--yes"} },
			holds:  func(c program) bool { return c.export() == exported("th_1", "t_a") },
		},
		{
			name:   "publish",
			before: func(c program) { c.run(exitDone, "provision") },
			args: func(c program) []string {
				return []string{"publish", write(c.t, append(threads("t_a", "th", 2), move)...)}
			},
			holds: func(c program) bool {
				return len(c.held(events.ThreadCreatedType.Subscription())) == 2 && len(c.held(events.TenantMovedType.Subscription())) == 1
			},
		},
		recovering(),
		erasing,
		deadLetterCommand("dead-letters redrive", func(c program) bool {
			return len(c.held(events.ThreadCreatedType.Subscription())) == lettersToKeep
		}),
		deadLetterCommand("dead-letters purge", func(program) bool { return true }),
	}
}

// recovering gives the ledger another epoch than it had.
func recovering() killable {
	var before sync.Map // the epochs, by project
	epoch := func(c program) ownership.Epoch {
		e, _, err := c.open().Epoch(c.t.Context())
		require.NoError(c.t, err)
		return e
	}
	return killable{
		name: "recover",
		before: func(c program) {
			c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"))
			before.Store(c.project.ID, epoch(c))
		},
		args: func(program) []string { return []string{"recover", "--yes"} },
		holds: func(c program) bool {
			now := epoch(c)
			was, _ := before.Load(c.project.ID)
			return now.Name != was.(ownership.Epoch).Name && now.Position == was.(ownership.Epoch).Position && c.export() == exported("th_1", "t_b")
		},
	}
}

// erasing erases a tenant of which the registry has a document of each sort, a window, and
// a move that was retracted before it came, with the tenant in its id.
var erasing = killable{
	name: "tenants erase",
	before: func(c program) {
		c.run(exitDone, "replay", "--yes", "--with-retractions", write(c.t,
			created("1", "2024-01-01T00:00:00Z", "t_left", "th_own"), created("2", "2024-01-01T00:00:00Z", "t_left", "th_given"),
			event("3", "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z", `{"from_tenant_id":"t_left","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_given"}]}`),
			event("4", "registry.retracted.v1", "2024-01-03T00:00:00Z", `{"event_source":"//test","event_id":"m-t_left"}`),
			tenantMoved("m-t_left", "2024-01-02T00:00:00Z", "t_left", "t_c")))
		c.setPlain("canvas__plain", "t_left")
		_, err := c.documents().Commit(c.t.Context(), docdb.Write{
			Name: c.documents().Name("rate_limit_counters", "t_left__chat_send"), Fields: map[string]*docdb.Value{"count": docdb.Integer(1)},
		})
		require.NoError(c.t, err)
	},
	args: func(program) []string { return []string{"tenants", "erase", "--yes", "t_left"} },
	holds: func(c program) bool {
		return c.export() == exported("th_given", "t_b") && len(c.namesOf("t_left")) == 0
	},
}

// exported is an export of threads and their tenants.
func exported(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, `{"kind":"thread","id":%q,"tenant_id":%q}`+"\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

func (c program) pubsub() *pubsub.Client {
	c.t.Helper()
	client, err := pubsub.NewClient(c.t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { client.Close() })
	return client
}

// publishTo publishes lines of an archive to a topic.
func (c program) publishTo(topic string, lines ...string) {
	c.t.Helper()
	publisher := c.pubsub().Publisher(topic)
	defer publisher.Stop()
	for _, line := range lines {
		_, err := publisher.Publish(c.t.Context(), &pubsub.Message{Data: []byte(line)}).Get(c.t.Context())
		require.NoError(c.t, err)
	}
}

// settleOne acknowledges one message of a subscription.
func (c program) settleOne(name string) {
	c.t.Helper()
	client := c.pubsub()
	subscription := client.Subscriber(name).String()
	got, err := client.SubscriptionAdminClient.Pull(c.t.Context(), &pubsubpb.PullRequest{Subscription: subscription, MaxMessages: 1})
	require.NoError(c.t, err)
	require.Len(c.t, got.ReceivedMessages, 1)
	require.NoError(c.t, client.SubscriptionAdminClient.Acknowledge(c.t.Context(), &pubsubpb.AcknowledgeRequest{
		Subscription: subscription, AckIds: []string{got.ReceivedMessages[0].AckId},
	}))
}

// held returns the ids of the events that a subscription holds, and leaves them there.
func (c program) held(name string) map[string]bool {
	c.t.Helper()
	client, ids := c.pubsub(), map[string]bool{}
	subscription := client.Subscriber(name).String()
	var again []string
	for {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		got, err := client.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: subscription, MaxMessages: 1000})
		cancel()
		if err != nil || len(got.ReceivedMessages) == 0 {
			break
		}
		for _, m := range got.ReceivedMessages {
			said := struct{ ID string }{m.Message.Attributes["ce-id"]}
			if said.ID == "" { // in structured mode
				require.NoError(c.t, json.Unmarshal(m.Message.Data, &said))
			}
			ids[said.ID] = true
			again = append(again, m.AckId)
		}
	}
	if len(again) > 0 {
		require.NoError(c.t, client.SubscriptionAdminClient.ModifyAckDeadline(c.t.Context(), &pubsubpb.ModifyAckDeadlineRequest{Subscription: subscription, AckIds: again}))
	}
	return ids
}

const lettersToKeep = 3

// deadLetterCommand works on three letters until there is none: what a killed process
// held is there again when its lease has ended.
func deadLetterCommand(name string, then func(c program) bool) killable {
	return killable{
		name: name,
		before: func(c program) {
			c.run(exitDone, "provision")
			topic := c.pubsub().Publisher(deadLetterTopic)
			for i := range lettersToKeep {
				_, err := topic.Publish(c.t.Context(), &pubsub.Message{Data: []byte("{}"), Attributes: map[string]string{
					consumer.ReasonAttribute: "conflict", consumer.DetailAttribute: "no good", consumer.MessageIDAttribute: fmt.Sprint(i),
					consumer.SubscriptionAttribute: events.ThreadCreatedType.Subscription(), "ce-id": fmt.Sprint(i), "ce-type": string(events.ThreadCreatedType),
				}}).Get(c.t.Context())
				require.NoError(c.t, err)
			}
		},
		args: func(program) []string { return append(strings.Fields(name), "--yes", "--by", "alice") },
		holds: func(c program) bool {
			tally, err := admin.CountDeadLetters(c.t.Context(), c.pubsub(), deadLetterTopic, admin.Selection{Idle: time.Second})
			require.NoError(c.t, err)
			history := c.run(exitDone, "dead-letters", "history").Stdout.String()
			return tally.Total == 0 && strings.Contains(history, "alice") && then(c)
		},
	}
}

// A worker is killed at each call that it makes of Firestore and Pub/Sub, with events of
// all types and one that is refused, and another one takes its place.
func TestProofThatAWorkerThatIsKilledAtAnyPointLosesNothing(t *testing.T) {
	k := killable{
		name:    "run",
		service: true,
		before: func(c program) {
			c.run(exitDone, "provision")
			c.replay(threads("t_a", "th", 2)...)
			c.run(exitDone, "publish", write(c.t, created("new", "2024-01-01T00:00:00Z", "t_a", "new"), created("bad", "2024-01-01T00:00:01Z", "t_b", "th_00000"),
				event("n", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z", `{"from_tenant_id":"t_a","to_tenant_id":"t_c","resources":[{"kind":"thread","id":"th_00001"}]}`),
				tenantMoved("m", "2024-01-04T00:00:00Z", "t_a", "t_d")))
		},
		args: func(program) []string {
			return []string{"run", "--listen", "127.0.0.1:0", "--rate", "unlimited", "--lease", "10s"}
		},
		holds: func(c program) bool {
			tally, err := admin.CountDeadLetters(c.t.Context(), c.pubsub(), deadLetterTopic, admin.Selection{Idle: time.Second})
			require.NoError(c.t, err)
			return tally.Total > 0 && c.export() == exported("new", "t_d", "th_00000", "t_d", "th_00001", "t_c") && c.start("export", "--check").Wait(time.Minute) == exitDone
		},
	}
	points := k.enumerate(t)
	require.Positive(t, points)
	t.Logf("%d points", points)
}
