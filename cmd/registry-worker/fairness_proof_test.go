//go:build proofs

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events"
)

// crowd is tenants that publish, and when they did.
type crowd struct {
	program
	pubsub *pubsub.Client
	store  *client.Client

	mu        sync.Mutex
	published map[string]time.Time // by the thread's id
	sent      sync.WaitGroup
}

func newCrowd(c program) *crowd {
	c.t.Helper()
	c.run(exitDone, "provision")
	store, err := client.NewClient(c.t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { store.Close() })
	return &crowd{program: c, pubsub: c.pubsub(), store: store, published: map[string]time.Time{}}
}

// publish publishes an event, and notes when, if it creates a thread.
func (c *crowd) publish(typ events.Type, id, data, thread string) {
	c.mu.Lock()
	if thread != "" {
		c.published[thread] = time.Now()
	}
	c.mu.Unlock()
	result := c.pubsub.Publisher(typ.Topic()).Publish(c.t.Context(), &pubsub.Message{Data: []byte(data), Attributes: map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "//nexus", "ce-type": string(typ), "ce-time": time.Now().UTC().Format(time.RFC3339Nano),
	}})
	c.sent.Go(func() {
		_, err := result.Get(context.WithoutCancel(c.t.Context()))
		if err != nil {
			c.t.Errorf("publish: %v", err)
		}
	})
}

// create publishes the creation of a thread.
func (c *crowd) create(tenant, thread string) {
	c.publish(events.ThreadCreatedType, thread, fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread), thread)
}

// poison publishes what is refused.
func (c *crowd) poison(id string) {
	c.publish(events.ThreadCreatedType, id, `{"tenant_id":1}`, "")
}

// atRate calls f at a rate, for a time.
func atRate(rate float64, during time.Duration, f func(i int)) {
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if due.Sub(began) > during {
			return
		}
		time.Sleep(time.Until(due))
		f(i)
	}
}

// applied returns when the threads with a prefix were last written, by id, once all
// that were published are there.
func (c *crowd) applied(prefix string) map[string]time.Time {
	c.t.Helper()
	c.sent.Wait()
	wanted := 0
	c.mu.Lock()
	for id := range c.published {
		if strings.HasPrefix(id, prefix) {
			wanted++
		}
	}
	c.mu.Unlock()
	all := map[string]time.Time{}
	require.Eventually(c.t, func() bool {
		found, err := c.store.Collection("realtime_registry").OrderBy(client.DocumentID, client.Asc).
			StartAt("thread__" + prefix).EndAt("thread__" + prefix + "~").Documents(c.t.Context()).GetAll()
		require.NoError(c.t, err)
		for _, d := range found {
			all[strings.TrimPrefix(d.Ref.ID, "thread__")] = d.UpdateTime
		}
		return len(found) == wanted
	}, 5*time.Minute, 500*time.Millisecond)
	return all
}

// lags returns how long after their publication the threads with a prefix were in the
// registry, sorted, once all are there.
func (c *crowd) lags(prefix string) []time.Duration {
	c.t.Helper()
	var lags []time.Duration
	all := c.applied(prefix)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range all {
		lags = append(lags, at.Sub(c.published[id]))
	}
	slices.Sort(lags)
	return lags
}

// tell logs lags, and returns the median and the last of a hundred.
func tell(t *testing.T, what string, lags []time.Duration) (p50, p99 time.Duration) {
	p50, p99 = lags[len(lags)/2], lags[len(lags)*99/100]
	t.Logf("%-45s %6d events, lag p50 %v, p99 %v", what, len(lags), p50.Round(time.Millisecond), p99.Round(time.Millisecond))
	return p50, p99
}

const (
	tenants   = 10
	usualRate = 10 // events a second of each tenant
	noise     = 20 // times as many of the one that is loud
	// wholeEvery is of how many events of the loud one one moves all that it has.
	wholeEvery = 400
	measured   = 15 * time.Second
	// jitter is what two runs of the same on an emulator differ by.
	jitter = 20 * time.Millisecond
)

// others has the tenants create threads at their usual rate.
func (c *crowd) others(prefix string, during time.Duration) {
	atRate(tenants*usualRate, during, func(i int) { c.create(fmt.Sprint("t_", i%tenants), fmt.Sprint(prefix, i)) })
}

// One tenant publishes at twenty times the rate of each other one: creations, moves of
// what it has, and moves of all that it has.
func TestProofThatALoudTenantDoesNotHoldUpTheOthers(t *testing.T) {
	c := newCrowd(onEmulators(t))
	c.service("run") // with the rate of rewriting that it has
	c.others("warm-", 5*time.Second)
	c.others("quiet-", measured)
	quiet50, quiet99 := tell(t, "ten tenants alone", c.lags("quiet-"))

	var group sync.WaitGroup
	group.Go(func() {
		atRate(noise*usualRate, measured, func(i int) {
			from, to := fmt.Sprint("t_loud_", i/wholeEvery%2), fmt.Sprint("t_loud_", (i/wholeEvery+1)%2)
			id := fmt.Sprint("loud-", i)
			switch {
			case i%wholeEvery == wholeEvery-1:
				c.publish(events.TenantMovedType, id, fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q}`, from, to), "")
			case i%10 == 9:
				c.publish(events.TenantMovedType, id, fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q,"resources":[{"kind":"thread","id":"loud-%d"}]}`, from, to, i-1), "")
			default:
				c.create(from, id)
			}
		})
	})
	c.others("loud-others-", measured)
	group.Wait()
	loud50, loud99 := tell(t, "beside one that publishes 20 times as much", c.lags("loud-others-"))
	require.LessOrEqual(t, loud50, 2*quiet50+jitter)
	require.LessOrEqual(t, loud99, 2*quiet99+5*jitter)
}

// A tenth of all that waits is refused. What is good is applied as fast as without, but
// for a tenth.
func TestProofThatPoisonCostsTheGoodATenthAtMost(t *testing.T) {
	const good, rounds = 5000, 5
	c := newCrowd(onEmulators(t))
	c.project.FirestoreRules.Distance(10 * time.Millisecond)
	p, _ := c.service("run", "--rate", "unlimited")
	rates, spent := map[bool][]float64{}, map[bool]time.Duration{}
	for round := range 2 * rounds {
		poisoned := round%2 == 1
		prefix := fmt.Sprintf("round-%d-", round)
		p.Signal(syscall.SIGSTOP) // until all of it waits
		for i := range good {
			c.create("t_a", fmt.Sprint(prefix, i))
			if poisoned && i%9 == 0 {
				c.poison(fmt.Sprint("poison-", round, "-", i))
			}
		}
		c.sent.Wait()
		before := usage(t, p.PID())
		p.Signal(syscall.SIGCONT)
		last := before.at
		for _, at := range c.applied(prefix) {
			if at.After(last) {
				last = at
			}
		}
		rate := good / last.Sub(before.at).Seconds()
		rates[poisoned] = append(rates[poisoned], rate)
		spent[poisoned] += usage(t, p.PID()).since(before).cpu
		t.Logf("poisoned %-5t %5.0f good events a second", poisoned, rate)
	}
	best := func(poisoned bool) float64 { return slices.Max(rates[poisoned]) }
	t.Logf("best of %d: %.0f a second without, %.0f with a tenth that is refused: %.0f%%; processor time of the worker for each good event %v and %v",
		rounds, best(false), best(true), 100*best(true)/best(false), spent[false]/(good*rounds), spent[true]/(good*rounds))
	require.GreaterOrEqual(t, best(true), 0.9*best(false))
}

// backsOff gives a subscription the retry policy that it has on the service: provision
// leaves it out on an emulator, which withholds for minutes what a dead worker had.
func (c *crowd) backsOff(name string) {
	_, err := c.pubsub.SubscriptionAdminClient.UpdateSubscription(c.t.Context(), &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{
			Name:        c.pubsub.Subscriber(name).String(),
			RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second), MaximumBackoff: durationpb.New(time.Minute)},
		},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retry_policy"}},
	})
	require.NoError(c.t, err)
}

// Each dead letter takes longer to be published than the worker waits for it. What is
// good is not held up, and nothing of what was refused is lost.
func TestProofThatASlowDeadLetterTopicHoldsUpTheRefusedAlone(t *testing.T) {
	c := newCrowd(onEmulators(t))
	slow := make(chan struct{})
	proxy, err := wire.NewProxy(c.project.PubSubHost, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if r, ok := request.(*pubsubpb.PublishRequest); ok && strings.HasSuffix(r.Topic, deadLetterTopic) {
				select {
				case <-slow:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return invoke(ctx, method, request, answer, conn, o...)
		}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	worker := c.program
	worker.env = []string{"PUBSUB_EMULATOR_HOST=" + proxy.Addr()}
	c.backsOff(events.ThreadCreatedType.Subscription())
	worker.service("run", "--rate", "unlimited", "--max-outstanding", "1000")
	c.others("warm-", 5*time.Second)
	c.others("quiet-", measured)
	quiet50, quiet99 := tell(t, "nothing is refused", c.lags("quiet-"))
	refused := map[string]bool{}
	var group sync.WaitGroup
	group.Go(func() {
		atRate(tenants*usualRate, measured, func(i int) {
			id := fmt.Sprint("refused-", i)
			refused[id] = true
			c.poison(id)
		})
	})
	c.others("slow-", measured)
	group.Wait()
	slow50, slow99 := tell(t, "as many are refused, and no dead letter ends", c.lags("slow-"))
	require.LessOrEqual(t, slow50, 2*quiet50+jitter)
	require.LessOrEqual(t, slow99, 2*quiet99+5*jitter)
	close(slow)
	require.Eventually(t, func() bool {
		letters := c.held(deadLetterTopic)
		for id := range letters {
			delete(refused, id)
		}
		return len(refused) == 0
	}, 2*time.Minute, time.Second, "every refused message becomes a dead letter once the topic answers")
}
