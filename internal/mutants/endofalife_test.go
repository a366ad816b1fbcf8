package mutants_test

import "github.com/northstar-engines/realtime-registry/internal/mutants"

// nothingIsAbsorbed lets entries join a tombstone.
var nothingIsAbsorbed = mutants.Edit{
	File: "internal/ownership/history.go",
	Old:  "	if h.Deleted() {\n		return h, false\n	}\n",
	New:  "",
}

// endOfALife are the rules of deletions, of erased tenants, and of the outbox.
var endOfALife = []mutant{
	measured("a deletion is all that is left", "./internal/ownership", "TestADeletionIsAllThatIsLeftWhateverComesBeforeOrAfter", nothingIsAbsorbed),
	simulated("nothing revives a tombstone", "registry", "4", nothingIsAbsorbed),
	measured("a tombstone is kept for the horizon", "./internal/regstore", "TestTheStoreOverMemory/a tombstone names no tenant, and expires", mutants.Edit{
		File: "internal/regstore/tombstone.go",
		Old:  "time.Now().Add(s.deletionHorizon)",
		New:  "time.Now().Add(s.deletionHorizon / 2)",
	}),
	measured("a tombstone takes the place of the whole document", "./internal/regstore", "TestTheStoreOverMemory/a tombstone names no tenant, and expires", mutants.Edit{
		File: "internal/regstore/tombstone.go",
		Old:  "		If: on,\n",
		New:  "		If: on, Mask: resourceFields,\n",
	}),
	measured("a claim of what was deleted is refused", "./internal/regstore", "TestTheStoreOverMemory/a deletion is final, whatever comes before or after", mutants.Edit{
		File: "internal/ownership/history.go",
		Old:  "return slices.ContainsFunc(h, Entry.registers)",
		New:  "return !h.Deleted() && slices.ContainsFunc(h, Entry.registers)",
	}, mutants.Edit{ // by the fold too
		File: "internal/ownership/claim.go",
		Old:  "if u.TenantID != claim.Tenant {",
		New:  "if u.TenantID != claim.Tenant && !u.History.Deleted() {",
	}),
	measured("a tenant that a set gives to a tombstone is taken out again", "./internal/ownership", "TestATenantGivenToATombstoneHasNoEffectAndIsRemoved", mutants.Edit{
		File: "internal/ownership/update.go",
		Old:  "u.Write = len(u.History) > 0 && (historyChanged ||",
		New:  "u.Write = len(u.History) > 0 && (historyChanged || !u.History.Deleted()) && (historyChanged ||",
	}),
	measured("a misspelt tenant is not erased", "./internal/erasure", "TestATenantOfWhichTheRegistryKnowsNothingIsNotErased", mutants.Edit{
		File: "internal/erasure/ledger.go",
		Old:  "case !plan.Known && !e.Unknown:",
		New:  "case !plan.Known && plan.Known:",
	}),
	measured("a claim of an erased tenant is refused", "./internal/regstore", "TestTheStoreOverMemory/an erased tenant gets nothing more", mutants.Edit{
		File: "internal/ownership/claim.go",
		Old:  "if _, erased := l.Pseudonym(claim.Tenant); erased {",
		New:  "if _, erased := l.Pseudonym(claim.Tenant); erased && l == nil {",
	}),
	measured("what an erased tenant would own expires", "./internal/regstore", "TestTheStoreOverMemory/an erased tenant gets nothing more", mutants.Edit{
		File: "internal/regstore/codec.go",
		Old:  "if ownership.IsPseudonym(u.TenantID) {",
		New:  "if ownership.IsPseudonym(fieldTenantID) {",
	}),
	measured("what an erased tenant had is not deleted", "./internal/regstore", "TestTheStoreOverMemory/what an erased tenant had stays its owners'", mutants.Edit{
		File: "internal/ownership/update.go",
		Old:  "f != nil && l.same(u.History.Owner(l), f.Pseudonym) {",
		New:  "f != nil {",
	}),
	simulated("a move that names an erased tenant keeps its effect", "registry", "1", mutants.Edit{
		File: "internal/ownership/erasureledger.go",
		Old:  "e.Version, e.From, e.To, e.Reason, e.Actor = m.Version, m.From, m.To, m.Reason, m.Actor",
		New:  "e.Version, e.From, e.To, e.Reason, e.Actor = m.Version, pseudonym, pseudonym, m.Reason, m.Actor",
	}).with("erased"),
	simulated("a tenant that is being erased and its other name are one to folds", "registry", "15", mutants.Edit{
		File: "internal/ownership/erasureledger.go",
		Old:  "return a == b || l != nil && l.aliases != nil && a != \"\" && l.aliases[a] == b",
		New:  "return a == b",
	}).with("erased"),
	simulated("what comes of an erased tenant is taken under the other name", "registry", "10", mutants.Edit{
		File: "internal/ownership/update.go",
		Old:  "anonymous, entries, renamed := r.anonymous(entries, l)",
		New:  "anonymous, _, renamed := r.anonymous(entries, l)",
	}).with("erased"),
	measured("a move that has waited is taken under the other name", "./internal/regstore", "TestAMoveThatHasWaitedDoesNotNameATenantThatWasErasedMeanwhile", mutants.Edit{
		File: "internal/regstore/ledgerchange.go",
		Old:  "if c.By != nil {",
		New:  "if c.By != nil && known == nil {",
	}),
	measured("documents are looked through again when no writer is left that knows of no erasure", "./internal/erasure", "TestWhatAWriterCreatesThatKnowsOfNoErasureYetIsDeletedToo", mutants.Edit{
		File: "internal/erasure/erasure.go",
		Old:  "		e.documents,\n		e.ledger,\n",
		New:  "		e.ledger,\n",
	}),
	measured("an erasure waits for moves that lead to the tenant", "./internal/erasure", "TestAMoveThatLeadsToTheTenantByOthersIsWaitedFor", mutants.Edit{
		File: "internal/erasure/ledger.go",
		Old:  "return leading[t] })",
		New:  "return leading[t] && t == tenant })",
	}),
	measured("an erasure drops the ledger's snapshot", "./internal/erasure", "TestAnErasureDropsTheLedgersSnapshot", mutants.Edit{
		File: "internal/erasure/ledger.go",
		Old:  "return e.Store.DropSnapshot(ctx)",
		New:  "return nil",
	}),
	simulated("a claim is in the outbox from its commit on", "registry", "15", mutants.Edit{
		File: "internal/regstore/claim.go",
		Old:  "		writes = append(writes, outbox...)\n",
		New:  "		_ = outbox\n",
	}).with("logged"),
	simulated("a retraction is in the outbox from its commit on", "registry", "5", mutants.Edit{
		File: "internal/regstore/ledgerchange.go",
		Old:  "	writes = append(writes, outbox...)\n",
		New:  "	_ = outbox\n",
	}).with("logged"),
	simulated("what the topic has not confirmed stays in the outbox", "registry", "1", mutants.Edit{
		File: "internal/outbox/outbox.go",
		Old:  "		if err == nil {\n			confirmed = append(confirmed, batch[i].Name)\n",
		New:  "		if confirmed = append(confirmed, batch[i].Name); err == nil {\n",
	}).with("logged"),
	measured("a sweep takes what may still be committed for not swept", "./internal/regstore", "TestTheStoreOverMemory/the outbox keeps what the topic does not take", mutants.Edit{
		File: "internal/regstore/outboxsweep.go",
		Old:  "upTo: now.Add(-s.outboxPatience), publish",
		New:  "upTo: now, publish",
	}),
}
