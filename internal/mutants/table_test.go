package mutants_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/mutants"
)

// mutant leaves a rule out of what ships, and says which test must fail then.
type mutant struct {
	rule  string
	edits []mutants.Edit
	// The test, its package from the module's root, its arguments, and what it says.
	run, pkg string
	args     []string
	noticed  *regexp.Regexp
}

// A plan that fails, and a test that does, say so.
var (
	planFails = regexp.MustCompile(`(?m)(registry|throttle):\d+.*$`)
	testFails = regexp.MustCompile(`(?m)^ *--- FAIL: .*$`)
)

// simulated is a mutant that the simulation must notice, beginning at a seed a
// little before the one at which it did when this was written.
func simulated(rule, world, first string, edits ...mutants.Edit) mutant {
	return mutant{rule: rule, edits: edits, noticed: planFails, run: "TestWhateverTheSchedulerDoesTheRulesHold/" + world, pkg: "./internal/simulation", args: []string{
		"-simulation.first=" + first, "-simulation.seeds=20000", "-simulation.shrink=0s",
	}}
}

// with gives the plans shapes, by comma.
func (m mutant) with(shapes string) mutant {
	m.args = append(m.args, "-simulation.with="+shapes)
	return m
}

// measured is a mutant that costs more, and does nothing wrong: a test of the package
// itself must notice it.
func measured(rule, pkg, run string, edits ...mutants.Edit) mutant {
	return mutant{rule: rule, edits: edits, noticed: testFails, run: "^" + run + "$", pkg: pkg}
}

var table = slices.Concat(engine, endOfALife, ofThrottle)

// engine are the rules of ownership and verification.
var engine = []mutant{
	simulated("the feed condition", "registry", "1105", mutants.Edit{
		File: "internal/ownership/update.go",
		Old:  "u.Feed = u.Write && r.Exists() && historyChanged && !onlyCreation(r.History, u.History)",
		New:  "u.Feed = u.Write && r.Exists() && u.TenantID != r.TenantID && !onlyCreation(r.History, u.History)",
	}),
	simulated("the path, in the query", "registry", "1", mutants.Edit{
		File: "internal/regstore/query.go",
		Old:  "docdb.Filter{Field: fieldPath, Op: docdb.Contains, Value: docdb.Text(t)},",
	}),
	simulated("the path, in what is rewritten", "registry", "460", mutants.Edit{
		File: "internal/ownership/update.go",
		Old:  "u.TenantID != r.TenantID || !slices.Equal(u.Path, r.Path))",
		New:  "u.TenantID != r.TenantID || slices.Equal(u.Path, nil))",
	}),
	simulated("the notice of a claim that joins", "registry", "315", mutants.Edit{
		File: "internal/regstore/claim.go",
		Old:  "if p.update.Feed {",
		New:  "if p.update.Feed && record.LedgerPosition < 0 {",
	}).with("deaf"),
	simulated("the last pass waits", "registry", "3400", mutants.Edit{
		File: "internal/rewrite/job.go",
		Old:  "return max(0, j.stored.Entry.Rewriting.CommittedAt.Add(s.store.WriterHorizon()).Sub(s.nowLocked()))",
		New:  "return 0",
	}),
	simulated("a job is saved only if its entry is as it was found", "registry", "720", mutants.Edit{
		File: "internal/regstore/rewriting.go",
		Old:  "If: docdb.Condition{Updated: job.Revision},",
	}).with("slow"),
	simulated("what is left of a pass is that of its change", "registry", "120", mutants.Edit{
		File: "internal/ownership/rewriting.go",
		Old:  "return Rewriting{State: RewritingQueued, Tenants: tenants}",
		New:  "r.State, r.Tenants = RewritingQueued, tenants\n\treturn r",
	}),
	simulated("a fresh ledger", "registry", "1", mutants.Edit{
		File: "internal/regstore/ledger.go",
		Old:  "time.Since(c.since) < s.ledgerStaleness",
		New:  "!c.since.IsZero()",
	}, mutants.Edit{ // with which it may be used for ever
		File: "internal/regstore/commit.go",
		Old:  "return ledger.since.Add(s.ledgerStaleness + s.commitDeadline)",
		New:  "return time.Now().Add(s.commitDeadline)",
	}).with("late"),
	simulated("the deadline of a commit", "registry", "1", mutants.Edit{
		File: "internal/regstore/commit.go",
		Old:  "if soon := time.Now().Add(s.commitDeadline); soon.Before(deadline) {\n\t\tdeadline = soon\n\t}\n\treturn context.WithDeadline(ctx, deadline)",
		New:  "return context.WithCancel(ctx)",
	}).with("slow,deaf"),
	simulated("certification before use", "registry", "30", mutants.Edit{
		File: "registry/verifier/internal/certified/owns.go",
		Old:  "if !cert.valid(now, c.certifier.maxStaleness) {",
		New:  "if cert == nil {",
	}),
	simulated("the overlap of the feed's cursor", "registry", "1", mutants.Edit{
		File: "internal/regstore/feed.go",
		Old:  "r.at.Add(-s.commitDeadline - timestampSlack)",
		New:  "r.at",
	}),
	simulated("the void mark", "registry", "800", mutants.Edit{
		File: "registry/verifier/internal/certified/table.go",
		Old:  "void := s.voids != m.voids",
		New:  "void := false",
	}),
	simulated("positions are of an epoch", "registry", "1", mutants.Edit{
		File: "internal/regstore/epoch.go",
		Old:  "epoch: f[fieldEpoch].GetStringValue(), position",
		New:  "epoch: \"\", position",
	}).with("restored"),
	measured("what is read in a new epoch waits for its certificate", "./registry/verifier", "TestNoOwnerIsNamedByALedgerThatIsNoMore", mutants.Edit{
		File: "registry/verifier/internal/certified/table.go",
		Old:  "void := s.voids != m.voids || !ofEra",
		New:  "void := s.voids != m.voids || !ofEra && false",
	}),
	measured("an entry is folded with a ledger of its epoch", "./registry/verifier/internal/certified", "TestAnEntryIsFoldedWithALedgerOfItsEraAlone", mutants.Edit{
		File: "registry/verifier/internal/certified/entry.go",
		Old:  "if e.era != cert.era {",
		New:  "if e.era < 0 {",
	}),
	measured("a database that was gone is another one", "./internal/regstore", "TestADatabaseThatWasGoneIsAnotherOne", mutants.Edit{
		File: "internal/regstore/epoch.go",
		Old:  "s.gone.Add(1)",
		New:  "_ = s",
	}),
	measured("a registry in the place of the one that is known is another one", "./internal/regstore", "TestADatabaseThatLostItsRegistryIsNotMadeANewOne", mutants.Edit{
		File: "internal/regstore/head.go",
		Old:  "if s.another(before, head) {",
		New:  "if false {",
	}),
	measured("an operator's move of resources is put into the outbox by its commit", "./internal/outbox", "TestTheLogHasWhatIsStoredAtWhicheverStepAProcessDies", mutants.Edit{
		File: "internal/regstore/merge.go",
		Old:  "b.changes[i].ToLog && (",
		New:  "b.changes[i].ToLog && false && (",
	}),
	measured("an operator's move of a tenant is put into the outbox by its commit", "./internal/outbox", "TestTheLogHasWhatIsStoredAtWhicheverStepAProcessDies", mutants.Edit{
		File: "internal/regstore/ledgerchange.go",
		Old:  "read.toLog[e.EventName()] &&",
		New:  "read.toLog[e.EventName()] && false &&",
	}),
	measured("nothing is put into the outbox behind a sweep", "./internal/outbox", "TestAProcessThatIsStoppedBeforeItsCommitStoresNothingBehindTheSweep", mutants.Edit{
		File: "internal/regstore/outbox.go",
		Old:  "return asked.Add(s.ledgerStaleness + s.commitDeadline)",
		New:  "return time.Now().Add(s.commitDeadline)",
	}),
	measured("what cannot be relied on is verified again, though the read of it is void", "./registry/verifier/internal/certified", "TestWhatCannotBeReliedOnIsVerifiedAgainThoughAnotherResourceBecameVoid", mutants.Edit{
		File: "registry/verifier/internal/certified/table.go",
		Old:  "return !ok || !void && owner != o.TenantID",
		New:  "return !void && (!ok || owner != o.TenantID)",
	}),
	measured("a list is certified by its own reads until each ownership has been read", "./registry/verifier", "TestAListIsCertifiedByItsOwnReadsAtFirst", mutants.Edit{
		File: "registry/verifier/watchall.go",
		Old:  "w.pending[all[i]] = struct{}{}",
		New:  "",
	}),
	simulated("a reader that has not read for half the feed's life drops what it has", "registry", "140", mutants.Edit{
		File: "internal/regstore/feed.go",
		Old:  "known.Floor.IsZero() || r.floor.Sub(known.Floor) > FeedTTL/2",
		New:  "known.Floor.IsZero()",
	}).with("away,deaf"),
	simulated("all shards of the feed are read", "registry", "270", mutants.Edit{
		File: "internal/regstore/feedentry.go",
		Old:  "for i := range int64(feedShards) {",
		New:  "for i := range int64(feedShards / 2) {",
	}).with("deaf"),
	simulated("both orders of the feed are read until every writer knows", "registry", "215", mutants.Edit{
		File: "internal/regstore/feedentry.go",
		Old:  "settled := floor.After(head.layoutSince.Add(s.WriterHorizon()))",
		New:  "settled := true",
	}).with("slow,deaf"),
	simulated("an ambiguous claim is settled by reading, and may not be there", "registry", "1", mutants.Edit{
		File: "internal/regstore/claim.go",
		Old:  "if !docdb.LostTheRace(err) {\n",
		New:  "if !docdb.LostTheRace(err) {\n\t\t\treturn true, nil\n",
	}),
	simulated("an ambiguous claim is settled by reading, and may be there", "registry", "1", mutants.Edit{
		File: "internal/regstore/claim.go",
		Old:  "return record.History.HoldsClaim(sent), nil",
		New:  "return false, nil",
	}),
	simulated("a start reads what has changed since the snapshot", "registry", "3", mutants.Edit{
		File: "internal/regstore/load.go",
		Old:  "last: base.Position()}",
		New:  "last: base.Position() + 1}",
	}),
	simulated("a snapshot says what was retracted", "registry", "3", mutants.Edit{
		File: "internal/regstore/snapshotcodec.go",
		Old:  "number(moveRetracted, flag(m.Retracted))",
		New:  "number(moveRetracted, flag(m.RetractionOnly))",
	}),
	simulated("a snapshot takes the place of the one that its writer has seen", "registry", "6800", mutants.Edit{
		File: "internal/regstore/snapshotwrite.go",
		Old:  "If:    docdb.Condition{Updated: lease},",
		New:  "If:    docdb.Condition{},",
	}),
	measured("chunks of later snapshots are left alone", "./internal/regstore", "TestAWriterThatWasHeldUpLeavesChunksOfLaterSnapshots", mutants.Edit{
		File: "internal/regstore/snapshotwrite.go",
		Old:  "chunkPrefix+x.name), // less than its own\n",
		New:  "chunkPrefix+\"~\"),\n",
	}, mutants.Edit{
		File: "internal/regstore/snapshotwrite.go",
		Old:  "old = append(old, docdb.Write{Name: d.Name, Delete: true})\n",
		New:  "if own := s.chunkName(x.name, 0); d.Name[:len(own)-7] != own[:len(own)-7] {\n\t\t\told = append(old, docdb.Write{Name: d.Name, Delete: true})\n\t\t}\n",
	}),
	measured("another snapshot is due if one cannot be used", "./internal/regstore", "TestASnapshotThatCannotBeReadIsPassedOver", mutants.Edit{
		File: "internal/regstore/snapshotlease.go",
		Old:  "if broken == nil && position",
		New:  "if position",
	}),
}

// A rule that the table cannot leave out any more is not proven.
func TestEveryEditApplies(t *testing.T) {
	root, err := mutants.Root()
	require.NoError(t, err)
	for _, m := range table {
		_, err := mutants.Edited(root, m.edits...)
		require.NoError(t, err, m.rule)
	}
}

func TestAnEditThatDoesNotApplyOnceIsAnError(t *testing.T) {
	root, err := mutants.Root()
	require.NoError(t, err)
	for _, old := range []string{"package nothing", "func "} {
		_, err := mutants.Edited(root, mutants.Edit{File: "internal/mutants/mutants.go", Old: old})
		require.ErrorContains(t, err, old)
	}
}
