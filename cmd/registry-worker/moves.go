package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var movesCommand = command{
	Name:    "moves",
	Summary: "moves of tenants: plan, start, verify, list, take back, resume",
	Details: "A move of everything that a tenant owns is one write, no matter who publishes its\n" +
		"event. moves start makes one, of everything or of some resources, and records who did\n" +
		"it and why. plan says beforehand what it would do, verify says afterwards what it did,\n" +
		"and retract takes it back.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves plan --project my-project --from t_old --to t_new",
		"registry-worker moves start --project my-project --from t_old --to t_new --id merger-2026 --reason 'merger'",
		"registry-worker moves verify --project my-project merger-2026 --wait",
		"registry-worker moves retract --project my-project merger-2026 --reason 'wrong tenant'",
	},
	Sub: []command{movesPlanCommand, movesStartCommand, movesVerifyCommand, movesListCommand, movesRetractCommand, movesResumeCommand},
}

// movesRules are the checks of all moves commands.
var movesRules = []config.Rule{
	config.NeedProject,
	config.NeedSharedRegistry("this process's memory is empty: want firestore"),
}

// withStore opens the registry for one command.
func (in *invocation) withStore(ctx context.Context, f func(registryStore) error) error {
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	return f(store)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// findMove returns the move with this id. An id that two sources share is
// refused without --source.
func (in *invocation) findMove(ctx context.Context, store registryStore, id string) (ownership.LedgerEntry, error) {
	all, err := movesWithID(ctx, store, id, in.Config.Source)
	if err != nil {
		return ownership.LedgerEntry{}, err
	}
	var sources []string
	for _, m := range all {
		sources = append(sources, terminal.Quote(m.Source))
	}
	switch {
	case len(all) > 1:
		return ownership.LedgerEntry{}, usagef("event id %q is that of moves of several sources: name one with --source: %s", id, strings.Join(sources, ", "))
	case len(all) == 0 && in.Config.Source != "":
		return ownership.LedgerEntry{}, fmt.Errorf("%w %q and source %q: see moves list", errNoSuchMove, id, in.Config.Source)
	case len(all) == 0:
		return ownership.LedgerEntry{}, fmt.Errorf("%w %q: see moves list", errNoSuchMove, id)
	}
	return all[0], nil
}

// movesWithID reads the moves with an id, of one source unless source is "". This
// process knows which sources have the id, so it reads no other move.
func movesWithID(ctx context.Context, store registryStore, id, source string) ([]ownership.LedgerEntry, error) {
	now, err := store.Read(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []ownership.EventName
	for m := range now.Ledger.Moves() {
		if m.ID == id && (source == "" || m.Source == source) {
			names = append(names, m.EventName())
		}
	}
	all, err := store.MovesNamed(ctx, names)
	for _, e := range now.Ledger.Unread() {
		if e.ID == id && (source == "" || e.Source == source) {
			all = append(all, e)
		}
	}
	return all, err
}

var errNoSuchMove = errors.New("no move of a whole tenant has the event id")

// who returns who gives the command, for records.
func (in *invocation) who() string {
	if in.Config.By != "" {
		return in.Config.By
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
