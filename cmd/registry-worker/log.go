package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// noLog says what it means that a registry has no log.
const noLog = "this registry has no log: claims, retractions and operators' moves are in Firestore alone, and a database that is restored has lost those since its backup"

// publishLog publishes to the registry's log, in the background, what this process has
// stored, and what processes that died have left, until s.close.
func (s *service) publishLog(ctx context.Context) error {
	if s.in.Config.RegistryBackend == config.Memory {
		return nil // which ends with the process, and is never restored
	}
	host, _ := os.Hostname()
	p, err := outbox.New(s.store, outbox.Options{
		Open:          s.in.openLogTopic,
		Holder:        host + " " + uuid.NewString(),
		Logger:        s.in.Logger,
		MeterProvider: s.telemetry.MeterProvider,
	})
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	s.endLog = func() { end(); <-ended }
	return nil
}

// logging calls f, and then publishes to the registry's log what f has stored, even if f
// has failed half-way. That it cannot is no fault of the command: a worker or an API does
// it a minute later.
func (in *invocation) logging(ctx context.Context, store registryStore, f func() error) error {
	p, err := outbox.New(store, outbox.Options{Open: in.openLogTopic})
	if err != nil {
		return err
	}
	failure := f()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		in.Logger.Warn("it is stored, and not in the registry's log yet: a worker or an API publishes it there", "error", err)
	}
	return failure
}

func (in *invocation) openLogTopic(ctx context.Context) (outbox.Topic, error) {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := in.openPubSub(start)
	if err != nil {
		return nil, err
	}
	return outbox.NewTopic(client, in.Config.LogTopic, func() { _ = client.Close() }), nil
}

// warnOfNoLog warns if there is no registry at all, so that this may be the wrong database,
// or if a database that is restored would lose claims, retractions and operators' moves.
func (s *service) warnOfNoLog(ctx context.Context) {
	if s.in.Config.RegistryBackend == config.Memory {
		return
	}
	if _, exists, err := s.store.Epoch(ctx); err == nil && !exists {
		if text, err := s.in.hollow(ctx, s.store); err == nil && text != "" {
			s.in.Logger.Warn(text+". This process goes on and would begin one, without a log. If there is a registry already, this is the wrong database"+s.in.databaseSaid(),
				"wanted", programName+" provision, with the right database")
			return
		}
	}
	since, err := s.store.LogSince(ctx)
	if err == nil && since.IsZero() {
		s.in.Logger.Warn(noLog, "wanted", programName+" provision")
	}
}

// provisionLog says in the registry that it has a log, whose topic and subscription are
// there: from then on processes put into the outbox what they store. actions are what was
// done in Pub/Sub, and isNew says that there was no registry.
func (in *invocation) provisionLog(ctx context.Context, actions []pubsubadmin.Action, isNew bool) error {
	if in.firestoreLeftOut() {
		fmt.Fprintln(in.Stderr, "the registry's log: left out, since only Pub/Sub is an emulator")
		return nil
	}
	return in.withStore(ctx, func(store registryStore) error {
		verb := pubsubadmin.Keep
		since, err := store.LogSince(ctx)
		if err == nil && since.IsZero() {
			verb = pubsubadmin.Create
			if in.Config.DryRun {
				since = time.Now()
			} else {
				since, _, err = store.BeginLog(ctx)
			}
		}
		if err != nil {
			return fmt.Errorf("the registry could not be told that it has a log (which takes roles/datastore.user): %w", in.explainFirestore(err))
		}
		fmt.Fprintf(in.Stdout, "%-6s log %s: claims, retractions and operators' moves since %s\n", verb, in.Config.LogTopic, since.Format(time.RFC3339))
		madeAnew := createdOf(actions, "subscription", in.Config.LogTopic)
		switch {
		case isNew && !madeAnew:
			fmt.Fprintf(in.Stderr, "warning: the log's subscription was there before, and no registry in %s: if another database has it, two registries would share their topics%s\n",
				in.firestoreTarget(), in.databaseSaid())
		case verb == pubsubadmin.Keep && madeAnew:
			kept := "what it had is in its topic, as far as that keeps messages"
			if createdOf(actions, "topic", in.Config.LogTopic) {
				kept = "nor its topic: what they had is in an archive at best"
			}
			fmt.Fprintf(in.Stderr, "warning: this registry has a log since %s, and its subscription was not there, %s. Back up the database now: a restore of an earlier backup would lack what is lost (docs/recovery.md#a-topic-or-a-subscription-is-gone)\n",
				since.Format(time.RFC3339), kept)
		}
		return nil
	})
}

// outboxAge is how long what was stored may wait in the outbox without a fault:
// the process that stored it has a minute, and a sweep is due each minute after that.
const outboxAge = 5 * time.Minute

// log says whether the registry has a log, and whether that takes what is published.
func (d *doctor) log(ctx context.Context, store registryStore) {
	const what = "log"
	since, err := store.LogSince(ctx)
	if err != nil {
		d.fault(what, err, d.fixFirestore(err))
		return
	}
	if since.IsZero() {
		d.say(warning, what, noLog, programName+" provision")
		return
	}
	state, err := store.ReadOutbox(ctx)
	if err != nil {
		d.fault(what, err, d.fixFirestore(err))
		return
	}
	d.saysOutbox(since, state)
}

func (d *doctor) saysOutbox(since time.Time, state ownership.OutboxState) {
	const what = "log"
	text := "claims, retractions and operators' moves since " + since.Format(time.RFC3339)
	switch {
	case state.Waiting == 0:
		d.say(fine, what, text+"; none waits", "")
	case state.Age() <= outboxAge:
		d.say(fine, what, fmt.Sprintf("%s; %d wait, the oldest for %s", text, state.Waiting, state.Age().Round(time.Second)), "")
	default:
		d.say(wrong, what, fmt.Sprintf("%s; %d wait in the outbox, the oldest for %s: the log is not what a restored database could be brought up to", text, state.Waiting, state.Age().Round(time.Second)),
			fmt.Sprintf("see that a worker or an API runs, that the topic %s exists (%s provision), and that they have roles/pubsub.publisher on it; they log what it answers", d.Config.LogTopic, programName))
	}
}
