package main

import (
	"context"
	"fmt"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/capacity"
)

var capacityCommand = command{
	Name:    "capacity",
	Summary: "reckon what an installation costs and needs, and its next limit",
	Details: "Prints operations, money, processes, and how far each limit of the services is,\n" +
		"for an installation that the flags describe, as Markdown: what the program was\n" +
		"measured to do, and what Google publishes. It asks nobody. docs/capacity.md says\n" +
		"where each figure comes from.",
	Examples: []string{
		"registry-worker capacity",
		"registry-worker capacity --resources 100e6 --creations 300000 --checks 5000 --cache-hits 0.9",
	},
	Groups: []config.Group{config.CapacityGroup},
	Run:    runCapacity,
}

func runCapacity(_ context.Context, in *invocation) error {
	p := in.Config.Capacity
	p.MaxStaleness = in.Config.MaxStaleness
	switch in.Config.MaxAge {
	case 0: // by what the registry says, some day
		p.MaxAge = capacity.Defaults().MaxAge
	case config.NoMaxAge:
		p.MaxAge = 0
	default:
		p.MaxAge = in.Config.MaxAge
	}
	if err := p.Validate(); err != nil {
		return usageError{err}
	}
	_, err := fmt.Fprint(in.Stdout, p.Report())
	return err
}
