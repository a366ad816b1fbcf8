// Package storetest is the suite that every ownership.Store passes: what the
// registry promises of histories, the ledger, claims and the change feed.
package storetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Backend is one empty registry and what a test may do to it from outside.
type Backend struct {
	// Open returns a store as a further process would have it.
	Open func() Store
	// OpenLogged is Open with a logger.
	OpenLogged func(*slog.Logger) Store
	// SetPlain writes a document as a program does that knows nothing of ours:
	// with tenant_id alone, or, with merge, leaving the other fields.
	SetPlain func(name, tenantID string, merge bool)
	// SetField gives a document a field of its own, as a program does that knows
	// nothing of ours. Fields are those that a document has, in Go's types.
	SetField func(name, field, value string)
	Fields   func(name string) map[string]any
	// SetFormat gives a document a format, as a later release may.
	SetFormat func(name string, format int64)
	// SetMoveFormat gives an entry of the ledger a format, as a later release may
	// with a change of the ledger; or, if the format is a known one, a time that
	// cannot be read.
	SetMoveFormat func(source, id string, format int64)
	// ChangeLedger gives changes of the ledger to a store that Open returned.
	ChangeLedger func(s Store, changes []ownership.LedgerChange) []ownership.Outcome
	// SetHead changes a field of the ledger's head that says who may take part, as
	// a later release may. The fields are those of package firestore.
	SetHead func(field string, value int64)
	// Backup returns a function that restores all documents as they are now.
	Backup func() (restore func())
	// Feed lists the resources of all change feed entries, oldest first.
	Feed func() []registry.Resource
}

// Store is what a backend is.
type Store interface {
	ownership.Store
	ownership.Rewriter
	ownership.Feed
	ownership.LedgerReader
	ownership.Outbox
	Eraser
	// WriteSnapshot writes a snapshot of the ledger if one is due, for a holder of
	// the lease.
	WriteSnapshot(ctx context.Context, holder string) (written bool, err error)
	// Recover gives a restored registry another epoch.
	Recover(ctx context.Context) (before, after ownership.Epoch, err error)
}

// Run runs the suite, each test on a backend of its own.
func Run(t *testing.T, backend func(t *testing.T) Backend) {
	for name, test := range map[string]func(*testing.T, Backend){
		"a creation registers":                                    creationRegisters,
		"what nobody registered has no owner":                     unregistered,
		"a duplicate changes nothing":                             duplicateChangesNothing,
		"one outcome per change, in order":                        outcomesInOrder,
		"of two creations the smaller wins, in any order":         smallerCreationWins,
		"of two creations in one batch the larger is refused":     conflictInsideABatch,
		"a conflict is decided at every delivery":                 conflictEveryTime,
		"out-of-order pairs end alike":                            outOfOrder,
		"a move before its creation applies once it is there":     moveFirst,
		"an inapplicable move is kept":                            inapplicableKept,
		"a full history takes no more moves":                      historyFull,
		"a tenant's move flips every answer at once":              tenantMoves,
		"a tenant's move is told by its position":                 ledgerPositions,
		"what is created after a tenant's move stays":             createdAfterTenantMove,
		"a duplicate repairs what direct readers see":             duplicateRepairs,
		"a retraction restores what was before, exactly":          retraction,
		"a retracted move stays retracted":                        retractedForEver,
		"a retraction may come before its move":                   retractionFirst,
		"a retraction is a change as any other":                   retractionInABatch,
		"moves are listed with who retracted them":                moves,
		"moves are read by name, by position and by job":          movesInParts,
		"moves in one batch have an outcome and a position each":  ledgerBatch,
		"a change of the ledger that panics is refused, alone":    ledgerPanic,
		"reads and claims beside moves in a row are of one time":  besideMoves,
		"a start from a snapshot knows what all others know":      startsFromASnapshot,
		"a snapshot of another epoch is not used":                 snapshotOfAnotherEpoch,
		"a restored registry is in doubt until it is recovered":   restoredUnderAProcess,
		"recovering what was not restored changes nothing":        recoveredForNothing,
		"a snapshot does not hide what is not understood":         snapshotOfTheUnread,
		"a change of the ledger queues one job":                   jobsAreQueued,
		"one worker at a time has the lease":                      leases,
		"a job is saved only as it was found":                     jobsAreOneWorkers,
		"a job that was cut short is taken up where it was":       jobsAreTakenUp,
		"a retraction ends the job of its move":                   jobsAreSuperseded,
		"affected is what has the tenant on its path":             affectedDocuments,
		"rewriting writes what differs and nothing else":          rewriting,
		"rewriting makes a plain set part of the history":         rewritingPlain,
		"rewriting yields to who writes meanwhile":                rewritingRace,
		"a document of a later format is left alone":              laterDocument,
		"an entry that is not understood stops all folds":         laterMove,
		"an unreadable move stops the folds through its tenant":   unreadableMove,
		"rewriting passes over what is not understood":            rewritingPassesOver,
		"what many tenants have had is found in parts":            affectedOfMany,
		"a job may be passed over for those behind it":            jobsArePassedOver,
		"the head says who may take part":                         headSaysWho,
		"a claim registers, once":                                 claimRegisters,
		"a claim keeps the name of its event":                     claimKeepsItsEvent,
		"a claim of somebody else's stores nothing":               claimConflict,
		"claims and refused claims are logged, both tenants":      claimsAreLogged,
		"two claims at once: one wins":                            claimRace,
		"a claim and its event are one ownership":                 claimAndEvent,
		"a claim is undone by nothing that is older":              claimStands,
		"moves alone do not stand in a claim's way":               claimBesideMoves,
		"claims and retractions are put into the outbox":          outboxOfClaimsAndRetractions,
		"operators' moves are put into the outbox":                outboxOfMoves,
		"nothing else is put into the outbox":                     outboxOfNothingElse,
		"a registry without a log has nothing in the outbox":      outboxNeedsALog,
		"the outbox keeps what the topic does not take":           outboxWaitsForItsTopic,
		"claims in archives merge whatever is there":              claimsFromArchives,
		"two moves of tenants with one name: nothing is lost":     nameTwiceInTheLedger,
		"two moves with one name in one batch":                    nameTwiceInOneBatch,
		"two moves of a resource with one name":                   nameTwiceOfAResource,
		"under the name of a retracted move nothing is taken":     nameOfARetractedMove,
		"operators who retract at once are all told":              operatorsAtOnce,
		"why and by whom a move was made is kept":                 textsAreKept,
		"strangers cannot fill a history":                         strangersCannotFill,
		"a deletion is final, whatever comes before or after":     deletionAbsorbs,
		"a deletion may come before its creation":                 deletionFirst,
		"a tombstone names no tenant, and expires":                tombstoneNamesNothing,
		"a tenant given to a tombstone from outside":              tombstoneSetFromOutside,
		"deletions converge":                                      deletionConverges,
		"what an erased tenant owns is deleted":                   forgottenIsDeleted,
		"an erasure goes by a ledger that knows of it":            forgottenByTheLedgerOfTheErasure,
		"what an erased tenant had stays its owners'":             forgottenKeepsItsEffect,
		"an erasure yields to who writes meanwhile":               forgettingYields,
		"an erasure passes over what is not understood":           forgettingPassesOver,
		"an erased tenant gets nothing more":                      erasedTenantHasNothing,
		"moves of an erased tenant keep their effect":             erasedMovesKeepTheirEffect,
		"a plain set is an assertion":                             plainSet,
		"a plain set before our first write":                      plainSetFirst,
		"a plain set that merges keeps the history":               plainMerge,
		"the feed tells of every change but the exempt ones":      feed,
		"a feed that is begun tells nothing from before":          feedBegins,
		"the feed tells what happened since a cursor":             feedTellsChanges,
		"a feed entry names all that its commit changed":          feedNamesAll,
		"the feed is spread where no earlier release takes part":  feedIsSpread,
		"the feed and the ledger are of one time":                 feedIsOfOneTime,
		"a listener is told of histories and of the ledger":       feedListener,
		"export is sorted, whole and has foreign documents":       export,
		"export ends at the visitor's error":                      exportEnds,
		"concurrent writers lose nothing":                         concurrentWriters,
		"any order, duplication and split equals the reference":   convergence,
		"a context that has ended fails and claims nothing":       contextEnded,
		"times are kept to the nanosecond, ids to the byte":       precision,
		"an id that breaks its pattern never reaches a document":  invalidNames,
		"events with one id and different content: smallest wins": oneIDTwice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, backend(t))
		})
	}
}

func thread(id string) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: id} }
func canvas(id string) registry.Resource { return registry.Resource{Kind: registry.Canvas, ID: id} }

// second is a time in the past, so that the store's own time is later.
func second(n int) time.Time { return time.Date(2024, 1, 1, 0, 0, n, 0, time.UTC) }

func version(n int, id string) ownership.Version {
	return ownership.Version{Time: second(n), Source: "//nexus", ID: id}
}

func created(r registry.Resource, tenant string, n int, id string) ownership.Change {
	return ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: version(n, id)}}
}

func moved(r registry.Resource, from, to string, n int, id string) ownership.Change {
	return ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Moved, From: from, To: to, Version: version(n, id)}}
}

func tenantMoved(from, to string, n int, id string) ownership.Change {
	return moved(registry.Resource{}, from, to, n, id)
}

func apply(t *testing.T, s ownership.Store, changes ...ownership.Change) []ownership.OutcomeKind {
	t.Helper()
	outcomes := s.Apply(context.Background(), changes)
	require.Len(t, outcomes, len(changes))
	kinds := make([]ownership.OutcomeKind, len(outcomes))
	for i, o := range outcomes {
		require.NoError(t, o.Err)
		kinds[i] = o.Kind
	}
	return kinds
}

func kinds(k ...ownership.OutcomeKind) []ownership.OutcomeKind { return k }

func read(t *testing.T, s ownership.Store, r registry.Resource) (ownership.Record, *ownership.Ledger) {
	t.Helper()
	snapshot, err := s.Read(context.Background(), []registry.Resource{r})
	require.NoError(t, err)
	require.Len(t, snapshot.Records, 1)
	require.Equal(t, r, snapshot.Records[0].Resource)
	return snapshot.Records[0], snapshot.Ledger
}

// owner is who owns r by the fold; written is what a direct reader sees.
func owner(t *testing.T, s ownership.Store, r registry.Resource) string {
	t.Helper()
	record, ledger := read(t, s, r)
	return record.History.Owner(ledger)
}

func written(t *testing.T, s ownership.Store, r registry.Resource) string {
	t.Helper()
	record, _ := read(t, s, r)
	return record.TenantID
}
