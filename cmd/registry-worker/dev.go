package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/dev"
	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

var devCommand = command{
	Name:    "dev",
	Summary: "everything on this machine: emulators, topics, worker and API",
	Details: "Starts Google's emulators of Pub/Sub and Firestore, unless PUBSUB_EMULATOR_HOST and\n" +
		"FIRESTORE_EMULATOR_HOST name running ones, creates topics and subscriptions, runs\n" +
		"worker and API, publishes example events, shows what became of them and what to try,\n" +
		"and goes on until Ctrl-C. It touches nothing outside this machine, and the emulators\n" +
		"keep nothing when they end. /console shows the same as a page.\n\n" +
		"If the emulators are not installed, it says how to get them, and shows the same in\n" +
		"this process alone, in memory. So it does with --registry-backend memory.\n\n" +
		"The emulators accept what the services refuse, bound or slow down. With\n" +
		"--service-rules they do not, and with --rtt they are as far away as the services would\n" +
		"be. Both hold for every program that uses the printed addresses. At the end it says\n" +
		"which documents and indexes would have been too hot.\n\n" +
		"The defaults here are --streams 4, --shutdown-delay 0s, --log-format text and\n" +
		"--log-level warn.",
	Examples: []string{
		"registry-worker dev",
		"registry-worker dev --service-rules --rtt 20ms",
		"registry-worker dev --empty --listen 127.0.0.1:9090",
	},
	Groups: []config.Group{
		config.DevGroup, config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.ClaimsGroup, config.EventsGroup, config.DeletionGroup,
		config.WorkerGroup, config.DrainGroup, config.APIGroup, config.ConsoleGroup,
		config.ThrottleGroup, config.LogGroup,
	},
	Rules: []config.Rule{
		config.NeedTopicNames, config.NeedTokenOffLoopback, config.OneSourceOfTokens, config.TwoAddresses, config.NeedAcceptedSubscriptions,
	},
	Service: true,
	Run:     runDev,
}

// devProject is the default project: the emulators take any.
const devProject = "realtime-registry-dev"

// devRun is one call of dev.
type devRun struct {
	in   *invocation
	loud func() // turns warnings on in the log, if they were off
}

// devStreams is enough for the emulator. With 16 of each subscription it goes on
// delivering to the streams of a worker that has ended, until the leases end, a
// minute later (measured): the next dev on the same emulators would hang.
const devStreams = 4

func runDev(ctx context.Context, in *invocation) error {
	d := &devRun{in: in}
	if err := d.setDefaults(ctx); err != nil {
		return err
	}
	err := d.run(ctx)
	if err == nil {
		fmt.Fprintln(in.Stderr, "\ndrained")
	}
	return err
}

func (d *devRun) run(ctx context.Context) (err error) {
	if d.in.Config.RegistryBackend == config.Memory {
		return d.onMemory(ctx)
	}
	emulators, err := d.startEmulators(ctx)
	switch {
	case errors.Is(err, emulator.ErrNotInstalled):
		fmt.Fprintf(d.in.Stderr, "%v\n\nGoing on without them, in this process alone.\n", err)
		return d.onMemory(ctx)
	case err != nil && ctx.Err() != nil:
		return nil // Ctrl-C while they started
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, emulators.Stop()) }()
	end, err := d.putRulesBefore()
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	return d.onEmulators(ctx, emulators)
}

// setDefaults sets the defaults that differ from other commands, and checks that
// the port is free, before anything takes time.
func (d *devRun) setDefaults(ctx context.Context) error {
	if d.in.Config.Project == "" {
		d.in.Config.Project = devProject
	}
	if d.in.Config.Defaulted("streams") {
		d.in.Config.Streams = devStreams
	}
	if d.in.Config.Defaulted("shutdown-delay") {
		d.in.Config.ShutdownDelay = 0 // there is no load balancer to wait for
	}
	d.setLogger()
	listener, err := listen(ctx, "listen", d.in.Config.Listen)
	if err != nil {
		return err
	}
	return listener.Close()
}

// setLogger limits the log to errors until loud is called: the page shows the
// refusals of the example, so the log need not. A level that was asked for holds
// from the beginning.
func (d *devRun) setLogger() {
	if !d.in.Config.Defaulted("log-level") {
		d.in.Logger = d.in.logAt(d.in.Config.LogLevel)
		d.loud = func() {}
		return
	}
	level := &slog.LevelVar{}
	level.Set(slog.LevelError)
	d.in.Logger = d.in.logAt(level)
	d.loud = func() { level.Set(slog.LevelWarn) }
}

// startEmulators starts the emulators that the environment does not name, and names
// them there, where Google's clients look.
func (d *devRun) startEmulators(ctx context.Context) (*emulator.Emulators, error) {
	pubsubHost, _ := d.in.LookupEnv("PUBSUB_EMULATOR_HOST")
	firestoreHost, _ := d.in.LookupEnv("FIRESTORE_EMULATOR_HOST")
	o := emulator.Options{NoPubSub: pubsubHost != "", NoFirestore: firestoreHost != ""}
	if err := d.useGiven(ctx); err != nil {
		return nil, err
	}
	if o.NoPubSub && o.NoFirestore {
		return &emulator.Emulators{}, nil
	}
	sdk, err := emulator.Find()
	if err != nil {
		return nil, err
	}
	o.SDK = sdk
	fmt.Fprintln(d.in.Stderr, "starting the emulators …")
	emulators, err := emulator.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	for name, started := range map[string]*emulator.Emulator{
		"FIRESTORE_EMULATOR_HOST": emulators.Firestore,
		"PUBSUB_EMULATOR_HOST":    emulators.PubSub,
	} {
		if started == nil {
			continue
		}
		if err := os.Setenv(name, started.Host); err != nil {
			return nil, errors.Join(err, emulators.Stop())
		}
	}
	return emulators, nil
}

// useGiven says which emulators the environment names. If some do not answer, the
// error names all of them: usually they are of a dev that has ended.
func (d *devRun) useGiven(ctx context.Context) error {
	var gone, variables []string
	for _, name := range []string{"FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"} {
		host, _ := d.in.LookupEnv(name)
		if host == "" {
			continue
		}
		dialer := net.Dialer{Timeout: 3 * time.Second}
		conn, err := dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			gone = append(gone, fmt.Sprintf("at %s, which %s names (%v)", host, name, err))
			variables = append(variables, name)
			continue
		}
		_ = conn.Close()
		fmt.Fprintf(d.in.Stderr, "using the emulator at %s, which %s names\n", host, name)
	}
	if len(gone) > 0 {
		return fmt.Errorf("no emulator answers %s; to have new ones started, type: unset %s",
			strings.Join(gone, ", nor "), strings.Join(variables, " "))
	}
	return nil
}

func (d *devRun) onEmulators(ctx context.Context, emulators *emulator.Emulators) error {
	options := d.in.transportOptions()
	client, err := d.in.openPubSubFor(ctx, options)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = pubsubadmin.Provision(ctx, client, pubsubadmin.ProvisionOptions{
		NoRetryPolicy:   true,
		Subscriptions:   d.in.Config.Subscriptions,
		DeadLetterTopic: d.in.Config.DeadLetterTopic,
		LogTopic:        d.in.Config.LogTopic,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // Ctrl-C meanwhile
	case err != nil:
		return d.in.explainPubSub(err)
	}
	s, err := startService(ctx, d.in, api.Starting{API: true, Worker: true})
	if s == nil {
		return err
	}
	defer s.close(ctx)
	if _, _, err := s.store.BeginLog(ctx); err != nil {
		return d.in.explainFirestore(err)
	}
	options.MeterProvider = s.telemetry.MeterProvider
	transport, err := consumer.NewPubSub(client, options)
	if err != nil {
		return err
	}
	defer transport.Close()
	show := devShow{
		service:     s,
		watch:       dev.NewWatch(transport),
		publish:     publishTo(client),
		deadLetters: "waiting in " + d.in.Config.DeadLetterTopic,
		notes:       d.notesOnEmulators(),
		shown:       d.loud,
	}
	return show.run(ctx, emulators)
}

// publishTo publishes messages unchanged, malformed ones too, and waits until each
// is confirmed.
func publishTo(client *pubsub.Client) func(context.Context, dev.Message) (string, error) {
	return func(ctx context.Context, m dev.Message) (string, error) {
		publisher := client.Publisher(m.Topic)
		defer publisher.Stop()
		return publisher.Publish(ctx, &pubsub.Message{Attributes: m.Attributes, Data: m.Data}).Get(ctx)
	}
}

func (d *devRun) onMemory(ctx context.Context) error {
	d.in.Config.RegistryBackend, d.in.Config.ThrottleBackend = config.Memory, config.Memory
	s, err := startService(ctx, d.in, api.Starting{API: true, Worker: true})
	if s == nil {
		return err
	}
	defer s.close(ctx)
	s.noPubSub = true
	bus := dev.NewBus()
	show := devShow{
		service:     s,
		watch:       dev.NewWatch(bus),
		publish:     bus.Publish,
		deadLetters: "without Pub/Sub they are kept nowhere",
		notes:       notesOnMemory,
		shown:       d.loud,
	}
	return show.run(ctx, &emulator.Emulators{})
}
