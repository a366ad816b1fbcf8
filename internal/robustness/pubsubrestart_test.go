//go:build proofs

package robustness

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

const pubsubRestarted = "Pub/Sub emulator restarted, and published to again"

// restartPubSub starts the Pub/Sub emulator again. It writes nothing down, so topics and
// subscriptions are made again, and the publisher publishes once more what no worker has
// acknowledged: it keeps that, as a program with an outbox does. Dead letters and the
// registry's log are read by then, and meanwhile no process reaches Pub/Sub.
func (x *installation) restartPubSub(ctx context.Context, _ time.Duration) {
	x.operating.Lock()
	defer x.operating.Unlock()
	r := judge.Record{Type: judge.Fault, At: now(), Kind: pubsubRestarted}
	for _, m := range x.machines {
		m.pubsub().Down(true)
		defer m.pubsub().Down(false)
	}
	const still = int64(3 * time.Second)
	for begun := now(); now()-max(begun, x.lastRead.Load()) < still; {
		time.Sleep(100 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	x.publisher.pause.Lock()
	defer x.publisher.pause.Unlock()
	if err := x.emulators.PubSub.RestartEmpty(ctx); err != nil {
		x.t.Errorf("%v", err)
		return
	}
	x.acks.restarted()
	x.project.PubSubRules.Forget()
	x.must("provision")
	x.subscribe(ctx)
	x.publisher.again()
	r.Until = now()
	x.history.record(r)
}
