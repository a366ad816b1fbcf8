package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/emulator"
)

var devCommand = command{
	Name:    "dev",
	Summary: "everything on this machine: emulators, topics, worker and API",
	Details: "Starts Google's emulators of Pub/Sub and Firestore, unless PUBSUB_EMULATOR_HOST and\n" +
		"FIRESTORE_EMULATOR_HOST name some that run, creates topics and subscriptions, and\n" +
		"runs worker and API until Ctrl-C. Nothing outside this machine is touched, and what\n" +
		"is in the emulators is gone when they end.\n\n" +
		"Where the emulators are not installed it says how to get them, and answers the API\n" +
		"from memory: claims and checks work, events need the emulators.",
	Examples: []string{
		"registry-worker dev",
		"registry-worker dev --listen 127.0.0.1:9090",
	},
	Groups: []config.Group{
		config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.EventsGroup,
		config.WorkerGroup, config.APIGroup, config.ThrottleGroup, config.LogGroup,
	},
	Rules: []config.Rule{config.NeedTopicNames, config.NeedTokenOffLoopback},
	Run:   runDev,
}

// devProject is the project where none is given: the emulators take any.
const devProject = "realtime-registry-dev"

func runDev(ctx context.Context, in *invocation) (err error) {
	if in.Config.Project == "" {
		in.Config.Project = devProject
	}
	if in.Config.RegistryBackend == config.Memory {
		return in.devOnMemory(ctx)
	}
	emulators, err := in.startEmulators(ctx)
	if errors.Is(err, emulator.ErrNotInstalled) {
		fmt.Fprintf(in.Stderr, "%v\n\nGoing on without them, on the memory of this process.\n\n", err)
		return in.devOnMemory(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emulators.Stop()) }()
	return in.devOnEmulators(ctx)
}

// startEmulators starts those that the environment does not name, and names
// them there: it is where Google's clients look.
func (in *invocation) startEmulators(ctx context.Context) (*emulator.Emulators, error) {
	pubsub, _ := in.LookupEnv("PUBSUB_EMULATOR_HOST")
	firestore, _ := in.LookupEnv("FIRESTORE_EMULATOR_HOST")
	o := emulator.Options{NoPubSub: pubsub != "", NoFirestore: firestore != ""}
	if o.NoPubSub && o.NoFirestore {
		return &emulator.Emulators{}, nil
	}
	fmt.Fprintln(in.Stderr, "starting the emulators …")
	emulators, err := emulator.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(in.Stderr, "for other programs:")
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
		fmt.Fprintf(in.Stderr, "  export %s=%s\n", name, started.Host)
	}
	fmt.Fprintf(in.Stderr, "  export GOOGLE_CLOUD_PROJECT=%s\n", in.Config.Project)
	return emulators, nil
}

func (in *invocation) devOnEmulators(ctx context.Context) error {
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := in.provision(ctx, client); err != nil {
		return err
	}
	return withService(ctx, in, func(s *service) error { return s.runWorker(ctx, true) })
}

func (in *invocation) devOnMemory(ctx context.Context) error {
	in.Config.RegistryBackend = config.Memory
	return withService(ctx, in, func(s *service) error { return s.serveAPI(ctx) })
}
