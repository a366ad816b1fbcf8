package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var recoverCommand = command{
	Name:    "recover",
	Summary: "take a restored database into use: whatever processes held of it before counts no more",
	Details: "Run it once after the database was restored, cloned or imported, before anything uses\n" +
		"it. It gives the ledger a new epoch, which is one write. A process that sees another\n" +
		"epoch than its own drops all that it holds (ledger, answers, watches) and reads anew;\n" +
		"until it has, it answers 503 and writes nothing. Processes of a release before epochs\n" +
		"do not know that: it refuses as long as one says that it runs.\n\n" +
		"It changes no document and no event, and does no harm to a registry that was not\n" +
		"restored, except that all processes read it anew.\n\n" +
		"What was written after the backup is not there. Replay it: docs/recovery.md has the\n" +
		"whole way.",
	Examples: []string{
		"registry-worker recover --project my-project --database restored",
		"registry-worker recover --project my-project --database restored --yes --json",
	},
	Groups: []config.Group{config.ConfirmGroup, config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory is empty: want firestore"),
	},
	Run: runRecover,
}

func runRecover(ctx context.Context, in *invocation) error {
	if err := in.canAsk(); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	return in.withStore(ctx, func(store registryStore) error {
		if err := in.needDocuments(ctx, store, "a registry that was restored has some"); err != nil {
			return err
		}
		running, err := in.running(ctx)
		if err != nil {
			return err
		}
		if err := in.saySeen(ctx, store, running); err != nil {
			return in.explainFirestore(err)
		}
		if i := slices.IndexFunc(running, func(p presence.Process) bool { return p.Held == nil }); i >= 0 {
			return fmt.Errorf("%s is of a release that knows no epochs, and would go on with what it holds: stop it first (one that was killed is taken to have ended after %s)",
				processText(running[i]), presence.Gone)
		}
		if err := in.confirm(ctx, target, recoveryQuestion(running)); err != nil {
			return err
		}
		before, after, err := store.Recover(ctx)
		if err != nil {
			return in.explainFirestore(err)
		}
		if len(running) > 0 {
			if err := in.awaitWriters(ctx, store); err != nil {
				return err
			}
		}
		return in.tellRecovered(before, after, len(running))
	})
}

// recoveryQuestion asks more loudly if processes run that should have been stopped.
func recoveryQuestion(running []presence.Process) string {
	if len(running) == 0 {
		return "give its ledger a new epoch, as after a restore?"
	}
	return runningSaid(len(running)) + " Give its ledger a new epoch all the same?"
}

// runningSaid says what it means that so many processes run.
func runningSaid(n int) string {
	return counted(n, "PROCESS RUNS", "PROCESSES RUN") + " with this database, and should have been stopped first: if it was restored, it has been answered from the state of its backup."
}

// saySeen prints what the database has, so that an operator sees whether it is the one
// that was restored.
func (in *invocation) saySeen(ctx context.Context, store registryStore, running []presence.Process) error {
	now, exists, err := store.Epoch(ctx)
	if err != nil {
		return err
	}
	if !exists {
		return errors.New("it has documents, and no ledger: no release that could be recovered has written to it")
	}
	fmt.Fprintf(in.Stderr, "The ledger is %s.\n", epochText(now))
	fmt.Fprintln(in.Stderr, in.made(ctx))
	since, err := store.LogSince(ctx)
	if err != nil {
		return err
	}
	if since.IsZero() {
		fmt.Fprintln(in.Stderr, noLog)
	}
	over, err := store.PlainSetsOver(ctx)
	if err != nil {
		return err
	}
	if !over.IsZero() {
		fmt.Fprintf(in.Stderr, "It says that no program writes documents with plain sets since %s; if that was taken back later, take it back again: %s upgrade --plain-sets go-on\n",
			over.Format(time.RFC3339), programName)
	}
	for _, p := range running {
		fmt.Fprintf(in.Stderr, "A process runs: %s, seen %s ago\n", processText(p), time.Since(p.Seen).Round(time.Second))
	}
	switch {
	case len(running) > 0 && in.Config.Yes:
		fmt.Fprintln(in.Stderr, "warning: "+runningSaid(len(running)))
	case len(running) == 0:
		fmt.Fprintf(in.Stderr, "No process has said within %s that it runs. (What they say is in the database: after a restore under the same name, one that was not stopped says so within %s.)\n", presence.Gone, presence.Every)
	}
	return nil
}

// made says when the database was made, and of what, as far as that can be known.
func (in *invocation) made(ctx context.Context) string {
	if !in.onFirestoreService() {
		return "Of what the database was made an emulator does not say."
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := in.openFirestoreAdmin(ctx)
	if err == nil {
		defer client.Close()
		var backup string
		var at time.Time
		if backup, at, err = in.fieldsOf().Provenance(ctx, client); err == nil && backup == "" {
			return fmt.Sprintf("The database was made at %s, and not of a backup: it is new, or a clone, or was imported.", at.Format(time.RFC3339))
		} else if err == nil {
			return fmt.Sprintf("The database was made at %s%s.", at.Format(time.RFC3339), ofBackup(backup))
		}
	}
	return "It is not known of what the database was made (datastore.databases.getMetadata): " + terminal.Line(err.Error())
}

// running lists the processes that say that they run.
func (in *invocation) running(ctx context.Context) ([]presence.Process, error) {
	db, err := in.openDocuments(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	all, err := presence.List(ctx, db)
	if err != nil {
		return nil, in.explainFirestore(err)
	}
	return all, nil
}

// awaitWriters waits until nothing can be committed any more that was folded with a
// ledger of the epoch before.
func (in *invocation) awaitWriters(ctx context.Context, store ownership.Rewriter) error {
	horizon := store.WriterHorizon()
	fmt.Fprintf(in.Stderr, "recovered; waiting %s for what these processes had under way\n", horizon)
	select {
	case <-ctx.Done():
		return fmt.Errorf("recovered; interrupted while it waited for writes that were under way, which end within %s", horizon)
	case <-time.After(horizon):
		return nil
	}
}

// recovered is the result in the form of `recover --json`.
type recovered struct {
	Epoch          string    `json:"epoch"`
	EpochBefore    string    `json:"epoch_before"`
	Since          time.Time `json:"since"`
	LedgerPosition int64     `json:"ledger_position"`
	Processes      int       `json:"processes"` // that ran, and drop what they held
	Next           []string  `json:"next"`      // commands, once workers run with it
}

func (in *invocation) tellRecovered(before, after ownership.Epoch, processes int) error {
	on := fmt.Sprintf(" --project %s --database %s", shellQuote(in.Config.Project), shellQuote(in.Config.Database))
	var next []string
	for _, c := range [][2]string{{"replay", " --since TIME"}, {"doctor"}, {"export", " --check"}, {"verify", " ARCHIVE"}, {"moves list", " --state pending"}} {
		next = append(next, programName+" "+c[0]+on+c[1])
	}
	if in.Config.JSON {
		return terminal.JSON(in.Stdout).Encode(recovered{
			Epoch: after.Name, EpochBefore: before.Name, Since: after.Since, LedgerPosition: after.Position, Processes: processes, Next: next,
		})
	}
	fmt.Fprintf(in.Stderr, "The ledger is %s.\nNext, as docs/recovery.md says: start the workers with this database, and not the API yet; then\n", epochText(after))
	for _, command := range next {
		fmt.Fprintf(in.Stderr, "  %s\n", command)
	}
	fmt.Fprintln(in.Stderr, "and then the API. TIME is that of the backup, an hour earlier to be safe.")
	return nil
}

// epochText says where a ledger is.
func epochText(e ownership.Epoch) string {
	switch {
	case e.Name == "":
		return fmt.Sprintf("at position %d, without an epoch, as an earlier release has made it", e.Position)
	case e.Since.IsZero():
		return fmt.Sprintf("at position %d of epoch %s", e.Position, e.Name)
	}
	return fmt.Sprintf("at position %d of epoch %s, since %s", e.Position, e.Name, e.Since.Format(time.RFC3339))
}

func processText(p presence.Process) string {
	return fmt.Sprintf("%s, %s, on %s", p.Role, p.Version, terminal.Quote(p.Host))
}
