package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

var upgradeCommand = command{
	Name:    "upgrade",
	Summary: "bring a registry of commit 1571751 over to this release; or end the upgrade to it",
	Details: "Releases from this one on run side by side; commit 1571751 does not run beside\n" +
		"anything later. Stop every process of it first: workers, verifiers, transports that\n" +
		"embed the library. This command then fences that commit out, waits for its last\n" +
		"writes, and brings over the ledger and every document, at --rate: stored owners,\n" +
		"paths, and claims. At the end it reports what it did, and from then on this release\n" +
		"starts.\n\n" +
		"It may be stopped or killed at any time, and resumes when it is run again. On a\n" +
		"registry that was brought over already it looks at every document, and changes none.\n" +
		"docs/upgrades.md has the whole way, and the way back.\n\n" +
		"--finish does something else, and at once: it records that no process of an earlier\n" +
		"release will take part again. Those that still run stop. The change feed then goes\n" +
		"into shards, and takes eight times as many commits a second. Deploy\n" +
		"firestore.indexes.json before.\n\n" +
		"--plain-sets over records, at once too, that programs no longer write documents with\n" +
		"plain sets. Verifiers then use an answer that does not change for a day, in place of\n" +
		"--max-age 30s, which is most of their bill. They follow by themselves. Take the right\n" +
		"to write from the identities of those programs first. If a process then meets a plain\n" +
		"set, it logs an ERROR and takes this back. So does --plain-sets go-on. With --dry-run\n" +
		"it reads all documents, says how many were last written so, and when, and changes\n" +
		"nothing, whatever it meets.",
	Examples: []string{
		"registry-worker upgrade --project my-project",
		"registry-worker upgrade --project my-project --yes --rate 2000",
		"registry-worker upgrade --project my-project --finish",
		"registry-worker upgrade --project my-project --plain-sets over --dry-run",
		"registry-worker upgrade --project my-project --plain-sets over",
	},
	Groups: []config.Group{config.UpgradeGroup, config.DryRunGroup, config.ConfirmGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory is empty: want firestore"),
	},
	Run: runUpgrade,
}

func runUpgrade(ctx context.Context, in *invocation) error {
	switch c := in.Config; {
	case c.Finish && c.PlainSets != "":
		return usagef("--finish and --plain-sets are two things: one at a time")
	case c.DryRun && c.PlainSets == "":
		return usagef("--dry-run goes with --plain-sets: else it is not known what would be done")
	case c.DryRun:
		in.tellTarget(in.firestoreTarget())
		return countPlainSets(ctx, in)
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	if in.Config.PlainSets != "" {
		return setPlainSets(ctx, in, target)
	}
	if in.Config.Finish {
		return finishUpgrade(ctx, in, target)
	}
	if err := in.confirm(ctx, target, "every process of commit 1571751 is stopped: bring this registry over?"); err != nil {
		return err
	}
	progress := newProgress(in.Stderr, "document", "")
	did, err := fsregistry.Upgrade(ctx, in.firestoreOptions(), fsregistry.UpgradeOptions{
		Rate: in.Config.Rate,
		Tell: func(text string) {
			progress.clear()
			fmt.Fprintln(in.Stderr, terminal.Quote(text))
		},
		Progress: func(looked, total int64) { progress.at(int(looked), looked, max(looked, total)) },
	})
	progress.clear()
	printUpgraded(in, did)
	switch {
	case errors.Is(err, registry.ErrIncompatible), errors.Is(err, registry.ErrTooNew):
		return in.explainFirestore(err)
	case errors.Is(err, registry.ErrUnavailable):
		return errors.Join(in.explainFirestore(err), errors.New("it is not finished: run it again"))
	case err != nil:
		return err
	case len(did.Unread) > 0:
		return fmt.Errorf("brought over, except %s that cannot be read, and have no owner until they are fixed or deleted: %s",
			counted(len(did.Unread), "document", "documents"), terminal.Quote(strings.Join(did.Unread, " ")))
	}
	fmt.Fprintln(in.Stderr, "the registry is brought over: this release may start")
	return nil
}

func finishUpgrade(ctx context.Context, in *invocation, target target) error {
	if err := in.confirm(ctx, target, "no process of an earlier release will take part again?"); err != nil {
		return err
	}
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	changed, err := store.(*fsregistry.Store).Finish(ctx)
	if err != nil {
		return in.explainFirestore(err)
	}
	if changed {
		fmt.Fprintln(in.Stderr, "the upgrade is finished: earlier releases stop, and the change feed goes into shards")
	} else {
		fmt.Fprintln(in.Stderr, "the upgrade was finished before")
	}
	return nil
}

func printUpgraded(in *invocation, did fsregistry.Upgraded) {
	fmt.Fprintf(in.Stderr, "%s of the ledger brought over\n", counted(did.Entries, "entry", "entries"))
	fmt.Fprintf(in.Stderr, "%s looked at, %d brought over: %d claims, %d with another tenant_id, %d with another path\n",
		counted(did.Documents, "document", "documents"), did.Written, did.Claims, did.Owners, did.Paths)
}
