package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	client "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

const (
	threads     = "nexus-thread-created.realtime-registry"
	canvases    = "nexus-canvas-created.realtime-registry"
	moves       = "nexus-tenant-moved.realtime-registry"
	deadLetters = "realtime-registry-dead-letters"
)

// subscriptions are those that carry what is measured, and that peers consume.
var subscriptions = []string{threads, canvases, moves}

// startEmulators starts a pair, and sends this process to it: Google's clients
// look at the environment.
func startEmulators(ctx context.Context) (*emulator.Emulators, error) {
	e, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		os.Setenv("FIRESTORE_EMULATOR_HOST", e.Firestore.Host),
		os.Setenv("PUBSUB_EMULATOR_HOST", e.PubSub.Host))
	return e, err
}

// stage is one measurement's own project in the emulators: its topics,
// subscriptions and documents.
type stage struct {
	project       string
	firestoreHost string
	subscriptions []string
	pubsub        *pubsub.Client
}

// newStage makes a stage with these subscriptions, and with those that a worker consumes
// by default: without one of them it ends.
func newStage(ctx context.Context, e *emulator.Emulators, subscriptions []string) (*stage, error) {
	for _, t := range events.PublishedTypes() {
		if !slices.Contains(subscriptions, t.Subscription()) {
			subscriptions = append(slices.Clip(subscriptions), t.Subscription())
		}
	}
	s := &stage{project: fmt.Sprintf("bench-%08x", rand.Uint32()), firestoreHost: e.Firestore.Host, subscriptions: subscriptions}
	var err error
	if s.pubsub, err = pubsub.NewClient(ctx, s.project); err != nil {
		return nil, err
	}
	_, err = pubsubadmin.Provision(ctx, s.pubsub, pubsubadmin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	if err != nil {
		return nil, errors.Join(err, s.pubsub.Close())
	}
	return s, nil
}

// close gives the emulators' memory back.
func (s *stage) close(ctx context.Context) error {
	defer s.pubsub.Close()
	var faults []error
	for _, name := range append([]string{deadLetters}, s.subscriptions...) {
		err := s.pubsub.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: s.pubsub.Subscriber(name).String()})
		faults = append(faults, err)
	}
	topics := s.pubsub.TopicAdminClient.ListTopics(ctx, &pubsubpb.ListTopicsRequest{Project: "projects/" + s.project})
	for topic, err := range topics.All() {
		if err == nil {
			err = s.pubsub.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: topic.GetName()})
		}
		faults = append(faults, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete,
		fmt.Sprintf("http://%s/emulator/v1/projects/%s/databases/(default)/documents", s.firestoreHost, s.project), nil)
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		err = response.Body.Close()
	}
	return errors.Join(append(faults, err)...)
}

// seed applies events to the registry, as a worker would have.
func (s *stage) seed(ctx context.Context, all iter.Seq[events.Event]) error {
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: s.project})
	if err != nil {
		return err
	}
	defer store.Close()
	const atOnce = 2000
	var changes []ownership.Change
	flush := func() error {
		for _, o := range store.Apply(ctx, changes) {
			if o.Kind == ownership.Failed {
				return fmt.Errorf("seed: %w", o.Err)
			}
		}
		changes = changes[:0]
		return nil
	}
	for e := range all {
		if changes = append(changes, handlers.Changes(e)...); len(changes) >= atOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// published is what went out.
type published struct {
	events    int
	resources map[registry.Resource]struct{} // that the events name
}

// publish publishes everything, and waits until it is confirmed.
func (s *stage) publish(ctx context.Context, all iter.Seq[events.Event], track bool) (published, error) {
	p := pubsubadmin.NewPublisher(s.pubsub)
	out := published{resources: map[registry.Resource]struct{}{}}
	var failed error // written by one goroutine, read when it has ended
	var err error
	for e := range all {
		if err = p.Publish(ctx, e, func(err error) { failed = errors.Join(failed, err) }); err != nil {
			break
		}
		out.events++
		if track {
			for _, c := range handlers.Changes(e) {
				if c.Resource != (registry.Resource{}) { // else of a whole tenant
					out.resources[c.Resource] = struct{}{}
				}
			}
		}
	}
	p.Close()
	return out, errors.Join(err, failed)
}

// publishTo publishes everything to one topic, and waits until it is confirmed.
func (s *stage) publishTo(ctx context.Context, topic string, all iter.Seq[events.Event]) error {
	publisher := s.pubsub.Publisher(topic)
	var results []*pubsub.PublishResult
	for e := range all {
		attributes, data, err := events.Encode(e)
		if err != nil {
			return err
		}
		results = append(results, publisher.Publish(ctx, &pubsub.Message{Attributes: attributes, Data: data}))
	}
	publisher.Stop()
	for _, r := range results {
		if _, err := r.Get(ctx); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}

// documents counts those of the registry.
func (s *stage) documents(ctx context.Context) (int, error) {
	c, err := client.NewClient(ctx, s.project)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	result, err := c.Collection(fsregistry.Collection).NewAggregationQuery().WithCount("n").Get(ctx)
	if err != nil {
		return 0, fmt.Errorf("count documents: %w", err)
	}
	return int(result["n"].(*firestorepb.Value).GetIntegerValue()), nil
}
