package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

var movesCommand = command{
	Name:    "moves",
	Summary: "moves of whole tenants: list, plan, take back",
	Details: "A tenant-moved event that names no resources moves everything that a tenant owns,\n" +
		"with one write. Publish it to move; here is what such moves did, would do, and how\n" +
		"to take one back.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves plan --project my-project --from t_old --to t_new",
		"registry-worker moves retract --project my-project move-2025-01",
	},
	Sub: []command{movesListCommand, movesPlanCommand, movesRetractCommand},
}

// movesRules is what must hold for all of them.
var movesRules = []config.Rule{
	config.NeedProject,
	config.NeedSharedRegistry("this process's memory is empty: want firestore"),
}

var movesListCommand = command{
	Name:    "moves list",
	Summary: "print all moves of whole tenants, and how far their rewriting is",
	Details: "Prints every move in the order in which they count, retracted ones too. For\n" +
		"verifiers a move counts, or is retracted, at once; readers that know the documents\n" +
		"only see it when its rewriting is done.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves list --project my-project --json",
	},
	Groups: []config.Group{config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesList,
}

func runMovesList(ctx context.Context, in *invocation) error {
	return in.withStore(ctx, func(store registryStore) error {
		all, err := store.Moves(ctx)
		if err != nil {
			return err
		}
		pending, err := rewrite.Planner{Store: store, Rate: in.Config.Rate}.Pending(ctx, all)
		if err != nil {
			return err
		}
		left := map[int64]rewrite.Pending{} // by position in the ledger
		for _, p := range pending {
			left[p.Move.Seq] = p
		}
		if in.Config.JSON {
			return printMovesJSON(in, all, left)
		}
		if len(all) == 0 {
			fmt.Fprintln(in.Stderr, "no moves of whole tenants")
			return nil
		}
		t := terminal.NewTable(in.Stdout, "TIME", "FROM", "TO", "STATE", "REWRITING", "ID", "SOURCE")
		for _, m := range all {
			at := ""
			if !m.RetractionOnly {
				at = m.Time.Format(time.RFC3339Nano)
			}
			t.Row(at, m.From, m.To, moveState(m), rewritingText(m.Rewriting, left[m.Seq]), m.ID, m.Source)
		}
		return t.Flush()
	})
}

// withStore opens the registry for one command.
func (in *invocation) withStore(ctx context.Context, f func(registryStore) error) error {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	store, err := in.openStore(start, nil)
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

func moveState(m registry.LedgerEntry) string {
	if !m.Retracted() {
		return "counts"
	}
	first := m.Retractions[0]
	text := "retracted " + first.At.Format(time.RFC3339)
	if first.By != "" {
		text += " by " + terminal.Quote(first.By)
	}
	if m.RetractionOnly {
		text += ", before it arrived"
	}
	return text
}

// rewritingText says how far a job is, and how long it takes at least.
func rewritingText(r registry.Rewriting, pending rewrite.Pending) string {
	left := pending.Left.Round(time.Second)
	switch {
	case r.State == registry.RewritingDone && r.FinishedAt.IsZero():
		return "nothing to do"
	case r.State == registry.RewritingDone:
		return fmt.Sprintf("done %s, %s written", r.FinishedAt.Format(time.RFC3339), counted(r.Written, "document", "documents"))
	case r.StartedAt.IsZero():
		return fmt.Sprintf("queued: %s, %s left at least", counted(pending.Documents, "document", "documents"), left)
	}
	percent := int64(100)
	if pending.Documents > 0 {
		percent = min(100, 100*r.Passed/pending.Documents)
	}
	pass := "first pass"
	switch {
	case r.Last:
		pass = "last pass"
	case r.Passed >= pending.Documents:
		pass = "first pass ended, waiting for late commits"
	}
	return fmt.Sprintf("%s: %s, %d of %d documents (%d%%), %d written, %s left at least", r.State, pass, r.Passed, pending.Documents,
		percent, r.Written, left)
}

// listedMove is a move as `moves list --json` has it.
type listedMove struct {
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Time        *time.Time      `json:"time"` // null where only its retraction has arrived
	From        string          `json:"from"`
	To          string          `json:"to"`
	Position    int64           `json:"ledger_position"`
	ChangedAt   time.Time       `json:"changed_at"`
	Retracted   bool            `json:"retracted"`
	RetractedBy string          `json:"retracted_by,omitempty"`
	RetractedAt *time.Time      `json:"retracted_at,omitempty"`
	Rewriting   listedRewriting `json:"rewriting"`
}

type listedRewriting struct {
	State      registry.RewritingState `json:"state"`
	LastPass   bool                    `json:"last_pass"`
	Documents  int64                   `json:"documents"`
	Passed     int64                   `json:"passed"`
	Read       int64                   `json:"read"`
	Written    int64                   `json:"written"`
	Holder     string                  `json:"holder,omitempty"`
	StartedAt  *time.Time              `json:"started_at,omitempty"`
	UpdatedAt  *time.Time              `json:"updated_at,omitempty"`
	FinishedAt *time.Time              `json:"finished_at,omitempty"`
	// Of jobs that have not ended: until it has, at least, with those before it.
	LeftSeconds *float64 `json:"left_seconds,omitempty"`
}

func printMovesJSON(in *invocation, all []registry.LedgerEntry, left map[int64]rewrite.Pending) error {
	lines := json.NewEncoder(in.Stdout)
	lines.SetEscapeHTML(false)
	for _, m := range all {
		r := m.Rewriting
		var first registry.Said
		if m.Retracted() {
			first = m.Retractions[0]
		}
		listed := listedMove{
			ID: m.ID, Source: m.Source, Time: unlessZero(m.Time), From: m.From, To: m.To, Position: m.Seq, ChangedAt: m.ChangedAt,
			Retracted: m.Retracted(), RetractedBy: first.By, RetractedAt: unlessZero(first.At),
			Rewriting: listedRewriting{r.State, r.Last, r.Total, r.Passed, r.Read, r.Written, r.Holder,
				unlessZero(r.StartedAt), unlessZero(r.UpdatedAt), unlessZero(r.FinishedAt), nil},
		}
		if p, ok := left[m.Seq]; ok {
			seconds := p.Left.Seconds()
			listed.Rewriting.Documents, listed.Rewriting.LeftSeconds = p.Documents, &seconds
		}
		if err := lines.Encode(listed); err != nil {
			return err
		}
	}
	return nil
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

var movesRetractCommand = command{
	Name:    "moves retract",
	Args:    "ID",
	Summary: "take a move of a whole tenant back, exactly",
	Details: "The move with this event id no longer counts, from the moment that it is retracted,\n" +
		"and what was before is back: the new owner keeps what was its own. It stays\n" +
		"retracted, also where its event is delivered again. Documents follow by rewriting.\n\n" +
		"It asks first, with what would change, or --yes. Plain sets of programs outside\n" +
		"are not undone. Moves that name resources are not retracted: publish another move.",
	Examples: []string{
		"registry-worker moves retract --project my-project move-2025-01",
		"registry-worker moves retract --project my-project move-2025-01 --source //nexus --yes",
	},
	Groups: []config.Group{config.RetractGroup, config.ByGroup, config.ConfirmGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesRetract,
}

func runMovesRetract(ctx context.Context, in *invocation) error {
	if len(in.Args) != 1 {
		return usagef("want the event id of one move")
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	return in.withStore(ctx, func(store registryStore) error {
		move, err := in.findMove(ctx, store, in.Args[0])
		if err != nil {
			return err
		}
		if move.Retracted() {
			fmt.Fprintf(in.Stderr, "%s is %s already\n", terminal.Quote(move.ID), moveState(move))
			return nil
		}
		fmt.Fprintf(in.Stderr, "The move of everything from %s to %s (event %s of %s, %s) would cease to count.\n",
			terminal.Quote(move.From), terminal.Quote(move.To), terminal.Quote(move.ID), terminal.Quote(move.Source), move.Time.Format(time.RFC3339Nano))
		if !in.Config.Yes {
			plan, err := in.planner(store).Retraction(ctx, move)
			if err != nil {
				return err
			}
			printPlan(in.Stderr, plan)
			if err := in.confirm(ctx, target, "retract this move?"); err != nil {
				return err
			}
		}
		o := store.Retract(ctx, registry.Retraction{Source: move.Source, ID: move.ID, By: in.who()})
		if o.Err != nil {
			return o.Err
		}
		fmt.Fprintln(in.Stderr, "retracted; documents follow while a worker runs, see moves list")
		return nil
	})
}

// findMove returns the move with this id. An id that two sources share is
// refused without --source.
func (in *invocation) findMove(ctx context.Context, store registry.Store, id string) (registry.LedgerEntry, error) {
	all, err := store.Moves(ctx)
	if err != nil {
		return registry.LedgerEntry{}, err
	}
	var sources []string
	all = slices.DeleteFunc(slices.Clone(all), func(m registry.LedgerEntry) bool {
		return m.ID != id || in.Config.Source != "" && m.Source != in.Config.Source
	})
	for _, m := range all {
		sources = append(sources, terminal.Quote(m.Source))
	}
	switch {
	case len(all) > 1:
		return registry.LedgerEntry{}, usagef("event id %q is that of moves of several sources: name one with --source: %s", id, strings.Join(sources, ", "))
	case len(all) == 0 && in.Config.Source != "":
		return registry.LedgerEntry{}, fmt.Errorf("no move of a whole tenant has event id %q and source %q: see moves list", id, in.Config.Source)
	case len(all) == 0:
		return registry.LedgerEntry{}, fmt.Errorf("no move of a whole tenant has event id %q: see moves list; moves that name resources are not retracted", id)
	}
	return all[0], nil
}

// who is who gives the command, for records.
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
