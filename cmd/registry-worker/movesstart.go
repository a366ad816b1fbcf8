package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var movesStartCommand = command{
	Name:    "moves start",
	Summary: "move a tenant's resources: all, those of a kind, or a list",
	Details: "Says what would change hands, asks (or --yes), and does it. The move has the time of\n" +
		"the plan: what its tenant creates afterwards stays where it is. Who (--by) and why\n" +
		"(--reason) are kept with it: moves list, inspect and the workers' log show them.\n\n" +
		"Everything that a tenant owns moves with one commit, however much that is, and moves\n" +
		"retract takes it back exactly. With --kind, --resources or --moved-by the move names\n" +
		"its resources, and is an event for each 500 of them, at --rate. If it is interrupted,\n" +
		"the same call with its --id goes on. To take it back, exchange the tenants and name it\n" +
		"with --moved-by: what the new owner had before, or got otherwise, stays.\n\n" +
		"With --plan, the output of moves plan --json must still hold: the same resources would\n" +
		"change hands. It writes to the registry, and publishes the move to the registry's log\n" +
		"(--log-topic), so that replay --since brings it back after a restore. Subscribers of\n" +
		"the moves' topic do not learn of it: if they should, publish the event instead.\n\n" +
		"A tenant of which the registry knows nothing is refused: it was misspelt, probably. If\n" +
		"its creations are still to come, --unknown makes the move, and it counts for those that\n" +
		"are older than it.",
	Examples: []string{
		"registry-worker moves start --project my-project --from t_old --to t_new --reason 'merger, ticket 4711' --by alice",
		"registry-worker moves start --project my-project --plan plan.json --id merger-2026 --reason 'merger' --yes",
		"registry-worker moves start --project my-project --from t_old --to t_new --kind canvas --reason 'only the canvases'",
		"registry-worker moves start --project my-project --from t_new --to t_old --moved-by merger-2026 --reason 'back again'",
	},
	Groups: []config.Group{
		config.PlanGroup, config.NamesGroup, config.StartGroup, config.MoveGroup, config.RetractGroup, config.UnknownGroup, config.ByGroup, config.ConfirmGroup,
		config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.ClaimsGroup, config.LogGroup,
	},
	Rules: append([]config.Rule{config.NeedTenantsOrPlan, config.OneSortOfNames}, movesRules...),
	Run:   runMovesStart,
}

func runMovesStart(ctx context.Context, in *invocation) error {
	if err := in.canAsk(); err != nil {
		return err
	}
	wish, err := in.wish(ctx)
	if err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	return in.withStore(ctx, func(store registryStore) error {
		s := start{invocation: in, wish: wish, store: store}
		if before, err := s.startedBefore(ctx); err != nil || before {
			return err
		}
		if known, err := in.knows(ctx, store, wish); err != nil {
			return err
		} else if !known && !in.Config.Unknown {
			return in.unknownTenant(ctx, store, wish.From, "makes the move, and it counts for what is older than it")
		}
		if s.plan, err = in.plan(ctx, store, wish); err != nil {
			return err
		}
		if err := s.stillHolds(); err != nil {
			return err
		}
		fmt.Fprintf(in.Stderr, "A move of %s from %s to %s:\n", wish.what(), wish.From, wish.To)
		printPlan(in.Stderr, s.plan, wish.whole())
		doubtNothing(in.Stderr, s.plan, wish.From)
		if !wish.whole() && len(s.plan.Resources) == 0 {
			fmt.Fprintln(in.Stderr, "there is nothing to move")
			return nil
		}
		if err := in.confirm(ctx, target, "make this move?"); err != nil {
			return err
		}
		return in.logging(ctx, store, func() error { return s.make(ctx) })
	})
}

// start is one call of moves start.
type start struct {
	*invocation
	wish
	store registryStore
	plan  rewrite.NamedPlan
}

// operatorSource is the source of moves made by this command.
const operatorSource = "//operator"

func (s *start) id() moveName {
	return moveName{
		Source: cmp.Or(s.Config.Source, operatorSource),
		ID:     cmp.Or(s.Config.MoveID, fmt.Sprintf("move-%s-%s-%d", s.From, s.To, s.plan.ReadTime.Unix())),
	}
}

// moveName returns the name of a move.
type moveName = rewrite.MoveID

// startedBefore reports whether the move is in the ledger already: from a call that
// was interrupted, or by another operator.
func (s *start) startedBefore(ctx context.Context) (bool, error) {
	if s.Config.MoveID == "" || !s.whole() {
		return false, nil
	}
	found, err := s.store.MovesNamed(ctx, []ownership.EventName{{Source: cmp.Or(s.Config.Source, operatorSource), ID: s.Config.MoveID}})
	if err != nil || len(found) == 0 {
		return false, err
	}
	m := found[0]
	switch {
	case m.Unread != nil:
		return true, m.Unread
	case m.From != s.From || m.To != s.To:
		return true, fmt.Errorf("the id %s is that of a move from %s to %s: give this one another --id", terminal.Quote(m.ID), terminal.Quote(m.From), terminal.Quote(m.To))
	case m.Retracted():
		return true, fmt.Errorf("the move %s was made, and is %s: give this one another --id", terminal.Quote(m.ID), moveState(m))
	}
	fmt.Fprintf(s.Stderr, "the move %s was made before, %s by %s\n", terminal.Quote(m.ID), m.ChangedAt.Format(time.RFC3339), terminal.Quote(orDash(m.Actor)))
	return true, s.tell(started{
		ID: m.ID, Source: m.Source, From: m.From, To: m.To, Time: m.Time, Actor: m.Actor, Reason: m.Reason, State: "made_before",
	})
}

// stillHolds returns an error if the plan is not what would be done now.
func (s *start) stillHolds() error {
	was := s.Planned
	if was == nil || was.Fingerprint == s.plan.Fingerprint() {
		return nil
	}
	now := newPlanned(s.wish, s.plan, "")
	return fmt.Errorf("the plan of %s does not hold any more: %d threads and %d canvases would have changed hands, now %d and %d would, and not all are the same; nothing was changed: plan again",
		was.ReadTime.Format(time.RFC3339), was.Threads, was.Canvases, now.Threads, now.Canvases)
}

// events returns the events of the move.
func (s *start) events() []events.Event {
	id, moved := s.id(), events.TenantMoved{FromTenantID: s.From, ToTenantID: s.To, Reason: s.Config.Reason, Actor: s.who()}
	event := func(id moveName, data events.TenantMoved) events.Event {
		return events.Event{ID: id.ID, Source: id.Source, Time: s.plan.ReadTime, Data: data}
	}
	if s.whole() {
		return []events.Event{event(id, moved)}
	}
	var all []events.Event
	for chunk := range slices.Chunk(s.plan.Resources, namesInOneEvent) {
		part := moved
		part.Resources = make([]events.ResourceRef, len(chunk))
		hash := sha256.New()
		for i, r := range chunk {
			part.Resources[i] = events.ResourceRef{Kind: string(r.Kind), ID: r.ID}
			fmt.Fprintln(hash, r)
		}
		// A call that resumes has other resources left, and they are another event.
		all = append(all, event(moveName{Source: id.Source, ID: fmt.Sprintf("%s/%x", id.ID, hash.Sum(nil)[:6])}, part))
	}
	return all
}

// namesInOneEvent is how many resources a move may name (schemas,
// nexus.tenant.moved.v1, maxItems).
const namesInOneEvent = 500

// make applies the events, and reports the result.
func (s *start) make(ctx context.Context) error {
	id := s.id()
	if !s.whole() {
		fmt.Fprintf(s.Stderr, "if this is interrupted, the same call with --id %s goes on\n", shellQuote(id.ID))
	}
	var refused []error
	progress := newProgress(s.Stderr, "event", "of the move applied")
	counts, err := s.apply(ctx, replay.Options{
		Rate: s.Config.Rate, MaxClockSkew: clockSkew, ToLog: true,
		Refused: func(r replay.Refusal) error {
			refused = append(refused, fmt.Errorf("%s: %s", r.Reason, terminal.Line(r.Detail)))
			return nil
		},
		Progress: func(c replay.Counts) { progress.at(c.Total(), 0, -1) },
	})
	progress.clear()
	if err != nil {
		return fmt.Errorf("the move %s is not complete; the same call with --id %s goes on: %w", terminal.Quote(id.ID), shellQuote(id.ID), err)
	}
	if len(refused) > 0 {
		return fmt.Errorf("%s of the move %s refused: %w", counted(len(refused), "event was", "events were"), terminal.Quote(id.ID), errors.Join(refused...))
	}
	state := "made"
	if counts.Of(handlers.Duplicate) == counts.Total() {
		state = "made_before"
	}
	s.Logger.Info("move made", "move", id.ID, "source", id.Source, "from", s.From, "to", s.To, "by", s.who(), "reason", s.Config.Reason)
	return s.tell(started{
		ID: id.ID, Source: id.Source, From: s.From, To: s.To, Time: s.plan.ReadTime, Actor: s.who(), Reason: s.Config.Reason, State: state,
		Threads: s.plan.Owners[registry.Thread], Canvases: s.plan.Owners[registry.Canvas],
	})
}

// clockSkew is how far this machine's clock may be behind the store's, which gives
// the move its time.
const clockSkew = 24 * time.Hour

// apply applies the events as a replay of them would: in batches, at a rate, with
// retries if the store fails for a moment.
func (s *start) apply(ctx context.Context, options replay.Options) (replay.Counts, error) {
	lines, to := io.Pipe()
	go func() {
		out, err := archive.Create("-", to)
		for _, e := range s.events() {
			if err == nil {
				err = out.Write(e)
			}
		}
		if out != nil {
			err = errors.Join(err, out.Close())
		}
		to.CloseWithError(err)
	}()
	defer lines.Close()
	files, err := archive.Open([]string{"-"}, lines)
	if err != nil {
		return nil, err
	}
	return replay.Run(ctx, s.store, files, options)
}

// started is a move in the form of `moves start --json`.
type started struct {
	ID       string    `json:"id"`
	Source   string    `json:"source"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason,omitempty"`
	State    string    `json:"state"`   // made, or made_before: the same call had made it already
	Threads  int64     `json:"threads"` // that change hands; 0 if made_before
	Canvases int64     `json:"canvases"`
	Next     []string  `json:"next"` // commands that show whether it is done, and take it back
}

func (s *start) tell(done started) error {
	tenants := fmt.Sprintf(" --from %s --to %s", done.From, done.To)
	if s.whole() {
		done.Next = []string{"moves verify " + shellQuote(done.ID) + " --wait", "moves retract " + shellQuote(done.ID) + " --reason 'why'"}
	} else {
		done.Next = []string{"moves verify " + shellQuote(done.ID) + tenants,
			fmt.Sprintf("moves start --from %s --to %s --moved-by %s --reason 'why'", done.To, done.From, shellQuote(done.ID))}
	}
	for i := range done.Next {
		done.Next[i] = programName + " " + done.Next[i]
	}
	if s.Config.JSON {
		return terminal.JSON(s.Stdout).Encode(done)
	}
	what := s.what()
	if done.State == "made" {
		what = strings.Join([]string{count(done.Threads, registry.Thread), count(done.Canvases, registry.Canvas)}, " and ")
	}
	_, err := fmt.Fprintf(s.Stdout, "moved: %s from %s to %s, as %s\nto see whether the documents have followed:\n  %s\nto take it back:\n  %s\n",
		what, done.From, done.To, terminal.Quote(done.ID), done.Next[0], done.Next[1])
	return err
}
