package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// eventsPerSecond is the low load.
const eventsPerSecond = 100

// latency measures, at low load, the time from the publish of a creation until
// the verifier answers its tenant, beside the same with a transaction for each
// message.
func (b *bench) latency(ctx context.Context) (string, error) {
	names := []string{"worker", "transaction"}
	p50, p99 := map[string][]float64{}, map[string][]float64{}
	if err := b.fresh(ctx); err != nil {
		return "", err
	}
	for run := range b.options.Runs {
		for i := range names {
			name := names[(i+run)%len(names)]
			c := b.contenders()[slices.IndexFunc(b.contenders(), func(c contender) bool { return c.name == name })]
			times, err := b.answers(ctx, c, nil)
			if err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
			ms := func(p int) float64 { return float64(percentile(times, p)) / float64(time.Millisecond) }
			b.say("latency  run %d/%d  %-11s  p50 %.1f ms, p99 %.1f ms", run+1, b.options.Runs, name, ms(50), ms(99))
			p50[name], p99[name] = append(p50[name], ms(50)), append(p99[name], ms(99))
		}
	}
	t := table{title: "From publish to answer, at 100 events/s", header: []string{"ms, median of the runs (lowest to highest)", "p50", "p99"}}
	for _, name := range names {
		t.rows = append(t.rows, []string{name, spread(p50[name], "%.1f"), spread(p99[name], "%.1f")})
	}
	t.rows = append(t.rows, []string{"worker / transaction",
		ratio(median(p50["worker"]), median(p50["transaction"])), ratio(median(p99["worker"]), median(p99["transaction"]))})
	t.notes = []string{"The verifier is asked every 2 ms from the moment of the publish on, until it says yes."}
	return t.String(), nil
}

// answers returns how long each event took, sorted. The contender may be away.
func (b *bench) answers(ctx context.Context, c contender, a *away, flags ...string) (times []time.Duration, err error) {
	s, err := newStage(ctx, b.emulators, subscriptions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: s.project})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	p, err := c.start(s, setting{away: a}.environ(s.firestoreHost), flags...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	topic := s.pubsub.Publisher("nexus-thread-created")
	defer topic.Stop()
	topic.PublishSettings.CountThreshold = 1 // each at once

	const warmUp = eventsPerSecond // one second's are not counted
	total := warmUp + b.options.Seconds*eventsPerSecond
	took := make([]time.Duration, total)
	group, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(time.Second / eventsPerSecond)
	defer tick.Stop()
	for i := range total {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), group.Wait())
		}
		group.Go(func() (err error) {
			took[i], err = untilAnswered(ctx, topic, v, creation(i, tenants))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Sorted(slices.Values(took[warmUp:])), nil
}

// untilAnswered asks every 2 ms whether the tenant owns what is created, without
// waiting for earlier answers: a refusal takes longer than that.
func untilAnswered(ctx context.Context, topic *pubsub.Publisher, v *verifier.Verifier, e events.Event) (time.Duration, error) {
	attributes, data, err := events.Encode(e)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	thread, tenant := createdThread(e)
	answered := make(chan time.Duration, 1)
	began := time.Now()
	published := topic.Publish(ctx, &pubsub.Message{Attributes: attributes, Data: data})
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case took := <-answered:
			_, err := published.Get(ctx)
			return took, err
		case <-tick.C:
			go func() {
				if v.VerifyThreadAccess(ctx, tenant, thread) == nil {
					select {
					case answered <- time.Since(began):
					default: // another question was answered before
					}
				}
			}()
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: no answer: %w", e.ID, ctx.Err())
		}
	}
}
