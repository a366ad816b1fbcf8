package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
)

// What a process is for, as presence has it.
const (
	roleWorker = "worker"
	roleAPI    = "API"
	roleBoth   = "worker with API"
)

// keepPresence says, where doctor reads it, that this process runs and of which release
// it is, until ctx ends.
func (s *service) keepPresence(ctx context.Context, o api.Options) {
	if s.in.Config.RegistryBackend == config.Memory {
		return
	}
	db, err := s.in.openDocuments(ctx)
	if err != nil {
		s.in.Logger.Debug("this process could not say that it runs", "error", err)
		return
	}
	role := roleWorker
	switch {
	case o.Verifier != nil && o.Worker != nil:
		role = roleBoth
	case o.Verifier != nil:
		role = roleAPI
	}
	build := buildVersion()
	host, _ := os.Hostname()
	presence.Keep(ctx, db, presence.Process{
		ID: uuid.NewString(), Role: role, Version: build.Version, Commit: build.Commit, Host: host, Started: s.began,
	}, func() presence.Held {
		epoch, position, _ := s.store.Held()
		return presence.Held{Epoch: epoch, Position: position}
	}, s.in.Logger)
}

// processes says which processes run, and of which releases they are.
func (d *doctor) processes(ctx context.Context, store registryStore) {
	const what = "processes"
	db, err := d.openDocuments(ctx)
	if err != nil {
		d.say(unseen, what, err.Error(), "")
		return
	}
	defer db.Close()
	ask, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	all, err := presence.List(ask, db)
	if err != nil {
		d.fault(what, err, d.fixFirestore(err))
		return
	}
	d.releases(all, buildVersion())
	switch stored, exists, err := store.Epoch(ask); {
	case err != nil:
		d.fault("epoch", err, d.fixFirestore(err))
	case exists:
		d.epochs(all, stored)
	default:
		d.say(fine, "epoch", "nothing was written to the registry yet", "")
	}
}

// epochs compares what processes hold of the ledger with what is stored, which was read
// after they had said it.
func (d *doctor) epochs(all []presence.Process, stored ownership.Epoch) {
	const what = "epoch"
	for _, p := range all {
		switch {
		case p.Held == nil || p.Held.Epoch == stored.Name && p.Held.Position <= stored.Position:
		case p.Held.Epoch == stored.Name:
			d.say(wrong, what, fmt.Sprintf("%s holds the ledger at position %d, and it is stored at %d: the database has gone back in time", processText(p), p.Held.Position, stored.Position),
				"if it was restored: "+programName+" recover (docs/recovery.md)")
			return
		case p.Seen.Sub(stored.Since) > presence.Every:
			d.say(wrong, what, processText(p)+" holds the ledger of another epoch than is stored", "see its log, and whether it reads this database; else restart it")
			return
		}
	}
	d.say(fine, what, "the ledger is "+epochText(stored), "")
}

// releases says of which releases the processes are. That no worker runs is a warning:
// one of a release before this does not say that it does.
func (d *doctor) releases(all []presence.Process, own build) {
	const what = "processes"
	count := map[string]int{}
	var sorts, releases []string
	workers := 0
	for _, p := range all {
		release := fmt.Sprintf("%s (commit %s)", p.Version, p.Commit)
		sort := p.Role + ", " + release
		if count[sort]++; count[sort] == 1 {
			sorts = append(sorts, sort)
		}
		if !slices.Contains(releases, release) {
			releases = append(releases, release)
		}
		if p.Role != roleAPI {
			workers++
		}
	}
	var parts []string
	for _, sort := range sorts {
		parts = append(parts, fmt.Sprintf("%d × %s", count[sort], sort))
	}
	text := strings.Join(parts, "; ")
	switch {
	case len(releases) > 1:
		d.say(warning, what, "of several releases: "+text, "end the rollout, such as by kubectl rollout status: docs/upgrades.md says which releases may run side by side, and for how long")
	case workers == 0:
		if text == "" {
			text = "none"
		}
		d.say(warning, what, text+": no worker has said in the last "+presence.Gone.String()+" that it runs, so events wait", programName+" run")
	case releases[0] != fmt.Sprintf("%s (commit %s)", own.Version, own.Commit):
		d.say(warning, what, text+", but this program is "+own.String(), "use the program of the release that runs")
	default:
		d.say(fine, what, text, "")
	}
}
