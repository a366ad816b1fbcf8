package main

import (
	"fmt"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// target is where a command writes to, as messages say it and a checkpoint keeps
// it. Production and an emulator of the same project are two targets.
type target struct {
	Project  string `json:"project"`
	Database string `json:"database,omitempty"` // "" for Pub/Sub
	Prefix   string `json:"collection_prefix,omitempty"`
	Emulator string `json:"emulator,omitempty"` // host:port; "" for production
}

// firestoreTarget returns the registry, or the throttle, that the command writes
// to.
func (in *invocation) firestoreTarget() target {
	emulator, _ := in.LookupEnv("FIRESTORE_EMULATOR_HOST")
	return target{in.Config.Project, in.Config.Database, in.Config.CollectionPrefix, emulator}
}

// pubsubTarget returns the project whose topics or subscriptions the command writes
// to.
func (in *invocation) pubsubTarget() target {
	emulator, _ := in.LookupEnv("PUBSUB_EMULATOR_HOST")
	return target{Project: in.Config.Project, Emulator: emulator}
}

func (t target) String() string {
	parts := []string{"project " + terminal.Quote(t.Project)}
	if t.Database != "" {
		parts = append(parts, "database "+terminal.Quote(t.Database))
	}
	if t.Prefix != "" {
		parts = append(parts, "prefix "+terminal.Quote(t.Prefix))
	}
	if t.Emulator != "" {
		return strings.Join(append(parts, "emulator at "+terminal.Quote(t.Emulator)), ", ")
	}
	return strings.Join(append(parts, "production"), ", ")
}

// tellTarget says where the command is about to write. Every command that writes
// calls it first.
func (in *invocation) tellTarget(t target) {
	verb := "writing to"
	if in.Config.DryRun {
		verb = "a dry run for"
	}
	fmt.Fprintf(in.Stderr, "%s %s\n", verb, t)
}
