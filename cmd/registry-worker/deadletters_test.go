package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// letters is a project in Pub/Sub with dead letters, and a client of it.
type letters struct {
	program
	client *pubsub.Client
}

// withLetters makes a project with n dead letters of threads, which no worker works
// on.
func withLetters(t *testing.T, n int) letters {
	t.Helper()
	c := onEmulators(t)
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	_, err = admin.Provision(t.Context(), client, admin.ProvisionOptions{
		Subscriptions: []string{events.ThreadCreatedType.Subscription()}, DeadLetterTopic: "realtime-registry-dead-letters", NoRetryPolicy: true,
	})
	require.NoError(t, err)
	l := letters{c, client}
	for i := range n {
		l.bury("conflict", fmt.Sprint("e", i))
	}
	return l
}

func (l letters) bury(reason, id string) {
	l.t.Helper()
	_, err := l.client.Publisher("realtime-registry-dead-letters").Publish(l.t.Context(), &pubsub.Message{Data: []byte("{}"), Attributes: map[string]string{
		consumer.ReasonAttribute: reason, consumer.DetailAttribute: "no \x1b[2Kgood", consumer.MessageIDAttribute: "m-" + id,
		consumer.SubscriptionAttribute: events.ThreadCreatedType.Subscription(), "ce-id": id, "ce-type": string(events.ThreadCreatedType),
	}}).Get(l.t.Context())
	require.NoError(l.t, err)
}

// waiting are how many letters wait.
func (l letters) waiting() int {
	l.t.Helper()
	tally, err := admin.CountDeadLetters(l.t.Context(), l.client, "realtime-registry-dead-letters", admin.Selection{Idle: time.Second})
	require.NoError(l.t, err)
	return tally.Total
}

// delivered takes what the topic has delivered, and returns the ids.
func (l letters) delivered() map[string]bool {
	l.t.Helper()
	ids := map[string]bool{}
	name := l.client.Subscriber(events.ThreadCreatedType.Subscription()).String()
	for {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		got, err := l.client.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: 1000})
		cancel()
		if err != nil || len(got.ReceivedMessages) == 0 {
			return ids
		}
		for _, m := range got.ReceivedMessages {
			ids[m.Message.Attributes["ce-id"]] = true
		}
	}
}

// A command is killed at each step: before and after each call that it makes. What
// it worked on is still a letter, or was published, or, of a purge, printed.
func TestNoDeadLetterIsLostWhenACommandIsKilled(t *testing.T) {
	t.Parallel()
	const n = 20
	for _, c := range []struct {
		command, method string
		after           bool
		left            int // letters
	}{
		{"redrive", "Pull", true, n},
		{"redrive", "Publish", false, n},
		{"redrive", "Publish", true, n},
		{"redrive", "Acknowledge", false, n},
		{"redrive", "Acknowledge", true, 0},
		{"purge", "Acknowledge", false, n},
		{"purge", "Acknowledge", true, 0},
	} {
		t.Run(fmt.Sprintf("%s, %s, %t", c.command, c.method, c.after), func(t *testing.T) {
			t.Parallel()
			l := withLetters(t, n)
			reached := make(chan struct{})
			var once sync.Once
			proxy, err := wire.NewProxy(l.project.PubSubHost, grpc.WithUnaryInterceptor(
				func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
					there := strings.HasSuffix(method, "/"+c.method)
					if !there || c.after {
						if err := invoke(ctx, method, request, answer, conn, options...); err != nil || !there {
							return err
						}
					}
					once.Do(func() { close(reached) })
					<-ctx.Done() // until the process is killed
					return ctx.Err()
				}))
			require.NoError(t, err)
			t.Cleanup(func() { _ = proxy.Close() })
			args := []string{"dead-letters", c.command, "--yes", "--json"}
			p := emulatortest.Run(t, append(l.project.Environ(), "PUBSUB_EMULATOR_HOST="+proxy.Addr()), emulatortest.Binary(t), args...)
			select {
			case <-reached:
			case <-p.Done():
				t.Fatal("it ended before: ", p.Stderr)
			}
			p.Kill()
			<-p.Done()

			// The leases of the killed process end by themselves.
			require.Eventually(t, func() bool { return l.waiting() == c.left }, time.Minute, 100*time.Millisecond)
			delivered := map[string]bool{}
			maps.Copy(delivered, l.delivered())
			// A look holds what it saw until Pub/Sub has given it back, so one run may see none.
			for until := time.Now().Add(time.Minute); c.left == n && time.Now().Before(until); {
				l.run(exitDone, args...)
				maps.Copy(delivered, l.delivered())
				if l.waiting() == 0 && (c.command == "purge" || len(delivered) == n) {
					break
				}
			}
			require.Zero(t, l.waiting())
			switch c.command {
			case "redrive":
				require.Len(t, delivered, n)
			case "purge":
				require.Empty(t, delivered)
				require.Len(t, p.Stdout.Lines(), n, "each was printed before it was discarded")
			}
		})
	}
}

func TestWhatIsDoneToLettersIsSaidFirstAndOnlyThenDone(t *testing.T) {
	t.Parallel()
	l := withLetters(t, 3)
	l.bury("malformed", "bad")

	count := l.run(exitDone, "dead-letters", "count")
	require.Regexp(t, `(?m)^3 +conflict +nexus.thread.created.v1 +nexus-thread-created.realtime-registry +0 `, count.Stdout.String())
	require.Contains(t, count.Stdout.String(), "\nconflict: another tenant has it")
	require.Contains(t, count.Stderr.String(), "letters are kept for 7 days after they were refused: the oldest of these until 2", "the emulator's retention")
	var counted countedLetters
	require.NoError(t, json.Unmarshal([]byte(l.run(exitDone, "dead-letters", "count", "--json", "--reason", "conflict").Stdout.String()), &counted))
	require.Equal(t, 3, counted.Total)
	require.NotEmpty(t, counted.Sorts[0].Next)
	list := l.run(exitDone, "dead-letters", "list", "--limit", "1", "--reason", "conflict")
	require.Contains(t, list.Stderr.String(), "1 dead letter\nthere are more\n")
	require.Contains(t, list.Stdout.String(), `"no \x1b[2Kgood"`)

	dry := l.run(exitDone, "dead-letters", "redrive", "--id", "e1", "--dry-run", "--json")
	var one fate
	require.NoError(t, json.Unmarshal([]byte(dry.Stdout.String()), &one))
	require.Equal(t, "would_redrive", one.Did)
	require.Equal(t, "nexus-thread-created", one.Topic)
	require.Equal(t, 4, l.waiting())

	s := onTerminal(t, l.project.Environ(), "dead-letters", "redrive", "--id", "e1", "--by", "alice")
	s.await("emulator at " + l.project.PubSubHost + ": publish this dead letter again?")
	s.keys("yes\n")
	s.exits(exitDone)
	require.Contains(t, s.text(), "1 dead letter published again")
	require.Equal(t, map[string]bool{"e1": true}, l.delivered())

	s = onTerminal(t, l.project.Environ(), "dead-letters", "purge", "--reason", "malformed")
	s.await("discard this dead letter?")
	l.bury("malformed", "late") // it comes while this is asked
	s.keys("yes\n")
	s.exits(exitDone)
	require.Contains(t, s.text(), "1 dead letter discarded")
	require.Equal(t, 3, l.waiting(), "two conflicts, and the one that the question did not count")

	s = onTerminal(t, l.project.Environ(), "dead-letters", "purge")
	s.await("discard these 3 dead letters?")
	s.keys("no\n")
	s.exits(exitFault)
	require.Equal(t, 3, l.waiting())
}

func TestAWrongReasonIsToldWithThoseThatThereAre(t *testing.T) {
	r := call(t, nil, "dead-letters", "list", "--project", "p-1", "--reason", "conflicts")
	require.Equal(t, exitUsage, r.code)
	for _, reason := range envelope.Reasons() {
		require.Contains(t, r.stderr, string(reason))
		require.NotEmpty(t, nextOf[reason], "what is to be done about it?")
	}
	var out bytes.Buffer
	printAdvice(&out, admin.Tally{Sorts: []admin.Sort{{Reason: "of a stranger"}}})
	require.Empty(t, out.String())
}
