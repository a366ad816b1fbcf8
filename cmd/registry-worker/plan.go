package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var movesPlanCommand = command{
	Name:    "moves plan",
	Summary: "say what a move of a whole tenant would do, without doing it",
	Details: "Reads every document that the move would affect, at one time. It prints how many\n" +
		"resources would change hands if the move were made now, some of them, how many have\n" +
		"plain sets (for which neither a move nor its retraction can be guaranteed), what the\n" +
		"rewriting would cost, which rewriting jobs would share the worker with it, and how\n" +
		"long readers of the raw documents would wait for it, by --rate and by the last\n" +
		"measured speed of a worker. It writes nothing.\n\n" +
		"With --kind or --resources the move would name its resources, and be many events; else\n" +
		"it is one commit, however much the tenant has. With --json it prints a plan for moves\n" +
		"start --plan, which must still hold then.",
	Examples: []string{
		"registry-worker moves plan --project my-project --from t_old --to t_new",
		"registry-worker moves plan --project my-project --from t_old --to t_new --kind canvas --json > plan.json",
	},
	Groups: []config.Group{
		config.PlanGroup, config.NamesGroup, config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup,
	},
	Rules: append([]config.Rule{config.NeedTenants, config.OneSortOfNames}, movesRules...),
	Run:   runMovesPlan,
}

// moveLine is the event of a move, as publish reads it.
func moveLine(from, to string, at time.Time) string {
	at = at.Truncate(time.Second).UTC()
	return fmt.Sprintf(`{"specversion":"1.0","id":"move-%s-%s-%d","source":"//operator","type":%q,"time":%q,"data":{"from_tenant_id":%q,"to_tenant_id":%q}}`,
		from, to, at.Unix(), events.TenantMovedType, at.Format(time.RFC3339), from, to)
}

func runMovesPlan(ctx context.Context, in *invocation) error {
	wish, err := in.wish(ctx)
	if err != nil {
		return err
	}
	return in.withStore(ctx, func(store registryStore) error {
		store.LeavePlainSets()
		plan, err := in.plan(ctx, store, wish)
		if err != nil {
			return err
		}
		if known, err := in.knows(ctx, store, wish); err != nil {
			return err
		} else if !known {
			fmt.Fprintf(in.Stderr, "The registry knows nothing of %s: is it spelt right? moves start refuses it, unless --unknown is given.\n", wish.From)
		}
		next := wish.command()
		if in.Config.JSON {
			return terminal.JSON(in.Stdout).Encode(newPlanned(wish, plan, next))
		}
		fmt.Fprintf(in.Stdout, "A move of %s from %s to %s, made now:\n", wish.what(), wish.From, wish.To)
		printPlan(in.Stdout, plan, wish.whole())
		doubtNothing(in.Stdout, plan, wish.From)
		fmt.Fprintf(in.Stdout, "Nothing was written. To move:\n  %s\n", next)
		if wish.whole() {
			fmt.Fprintf(in.Stdout, "or, so that other subscribers learn of it too, publish the event, with an id and a source that are yours:\n  echo '%s' | %s publish -\n",
				moveLine(wish.From, wish.To, plan.ReadTime), programName)
		}
		return nil
	})
}

func (in *invocation) planner(store registryStore) rewrite.Planner {
	progress := newProgress(in.Stderr, "document", "read")
	return rewrite.Planner{Store: store, Rate: in.Config.Rate, Sample: sampleSize, Progress: func(read, total int64) {
		progress.at(int(read), read, total)
		if read >= total {
			progress.clear()
		}
	}}
}

func printPlan(out io.Writer, p rewrite.NamedPlan, whole bool) {
	for _, kind := range registry.Kinds() {
		fmt.Fprintf(out, "  %s would change hands\n", count(p.Owners[kind], kind))
	}
	for _, c := range p.Sample {
		plain := ""
		if c.Plain {
			plain = " (plain set)"
		}
		fmt.Fprintf(out, "    %s: %s → %s%s\n", terminal.Quote(c.Resource.String()), terminal.Quote(c.From), terminal.Quote(c.To), plain)
	}
	if more := p.Changing() - int64(len(p.Sample)); more > 0 {
		fmt.Fprintf(out, "    and %d more\n", more)
	}
	fmt.Fprintf(out, "  %d of them carry plain sets, for which neither the move nor its retraction can promise\n", p.Plain)
	if p.Kept > 0 {
		fmt.Fprintf(out, "  %d more stay as they are: plain sets came after the move, and what they have taken over is not given back\n", p.Kept)
	}
	if p.Unread > 0 {
		fmt.Fprintf(out, "  %s cannot be told of: this version does not understand what is stored (docs/upgrades.md)\n", counted(p.Unread, "document", "documents"))
	}
	if p.Foreign > 0 {
		fmt.Fprintf(out, "  %d documents with names or tenants outside the patterns would be left alone\n", p.Foreign)
	}
	if p.Elsewhere > 0 {
		fmt.Fprintf(out, "  %d that are named are not the old owner's, and would be left out\n", p.Elsewhere)
	}
	if !whole {
		fmt.Fprintf(out, "  cost: some %d reads and %d writes, at --rate; each changes hands with its write\n  as of %s\n", p.Reads, p.Writes, p.ReadTime.Format(time.RFC3339Nano))
		return
	}
	fmt.Fprintf(out, "  cost: one commit for the move (its entry and the head of the ledger: 2 writes), whatever their\n  number; then some %d reads and %d writes to rewrite documents\n", p.Reads, p.Writes)
	for _, job := range p.Pending {
		m := job.Move
		fmt.Fprintf(out, "  beside it goes the rewriting for %s (%s → %s): %s, ended in %s at least\n",
			terminal.Quote(m.ID), terminal.Quote(orDash(m.From)), terminal.Quote(orDash(m.To)), counted(job.Documents, "document", "documents"), job.Left.Round(time.Second))
	}
	fmt.Fprintf(out, "  verifiers see it at once; direct readers of the documents within about %s, while a worker runs:\n  %s\n", p.Lag.Round(time.Second), speedText(p.Speed))
	fmt.Fprintf(out, "  as of %s\n", p.ReadTime.Format(time.RFC3339Nano))
}

// doubtNothing asks whether the right tenant was named, if it has nothing.
func doubtNothing(out io.Writer, p rewrite.NamedPlan, from string) {
	if p.Changing() == 0 {
		fmt.Fprintf(out, "  nothing would change hands: is %s the right tenant?\n", terminal.Quote(from))
	}
}

// speedText says from which speed a remaining time is computed.
func speedText(s rewrite.Speed) string {
	switch {
	case s.Had == 0:
		return "by --rate " + s.Rate.String() + ", since no worker has measured yet what it can do"
	case s.Governed:
		return fmt.Sprintf("by --rate %s from where the worker is; it had %.0f documents a second at %s, all that it was allowed",
			s.Rate, s.Had, s.At.Format(time.RFC3339))
	}
	return fmt.Sprintf("by the %.0f documents a second that a worker had at %s", s.Had, s.At.Format(time.RFC3339))
}

// planned is a plan in the form of `moves plan --json`.
type planned struct {
	From       string          `json:"from"`
	To         string          `json:"to"`
	Kind       string          `json:"kind,omitempty"`      // only resources of this kind
	MovedBy    string          `json:"moved_by,omitempty"`  // only what this move brought
	Named      bool            `json:"named,omitempty"`     // only those of a list
	Elsewhere  int64           `json:"elsewhere,omitempty"` // named, but not the old owner's
	Threads    int64           `json:"threads"`
	Canvases   int64           `json:"canvases"`
	PlainSets  int64           `json:"plain_sets"`
	Foreign    int64           `json:"foreign_documents"`
	Unread     int64           `json:"unread_documents"`
	Reads      int64           `json:"reads"`
	Writes     int64           `json:"writes"`
	Pending    []pendingJob    `json:"pending_jobs"` // jobs that would share the worker with it
	LagSeconds float64         `json:"lag_seconds"`
	Had        float64         `json:"measured_documents_per_second,omitempty"` // measured of a worker
	HadAt      *time.Time      `json:"measured_at,omitempty"`
	ReadTime   time.Time       `json:"read_time"`
	Sample     []plannedChange `json:"sample"`
	// Fingerprint is a hash of everything that would change hands; moves start
	// compares it.
	Fingerprint string `json:"fingerprint"`
	Next        string `json:"next"` // the command that does it
}

type plannedChange struct {
	Kind     registry.Kind `json:"kind"`
	ID       string        `json:"id"`
	From     string        `json:"from"`
	To       string        `json:"to"`
	PlainSet bool          `json:"plain_set"`
}

type pendingJob struct {
	ID          string  `json:"id"`
	Source      string  `json:"source"`
	Documents   int64   `json:"documents"`
	LeftSeconds float64 `json:"left_seconds"`
}

func newPlanned(w wish, p rewrite.NamedPlan, next string) planned {
	sample := []plannedChange{}
	for _, c := range p.Sample {
		sample = append(sample, plannedChange{c.Resource.Kind, c.Resource.ID, c.From, c.To, c.Plain})
	}
	pending := []pendingJob{}
	for _, job := range p.Pending {
		pending = append(pending, pendingJob{job.Move.ID, job.Move.Source, job.Documents, job.Left.Seconds()})
	}
	writes := p.Writes
	if w.whole() {
		writes += 2
	}
	return planned{
		w.From, w.To, w.Kind, w.MovedBy, w.File != "", p.Elsewhere, p.Owners[registry.Thread], p.Owners[registry.Canvas], p.Plain, p.Foreign, p.Unread,
		p.Reads, writes, pending, p.Lag.Seconds(), p.Speed.Had, unlessZero(p.Speed.At), p.ReadTime, sample, p.Fingerprint(), next,
	}
}
