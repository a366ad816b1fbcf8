package replay_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// compared are the ids of the events that only an archive knows, and that only the
// registry does.
func compared(t *testing.T, s *memregistry.Store, file string, change ...func(*replay.CompareOptions)) (archiveOnly, registryOnly []string) {
	t.Helper()
	o := replay.CompareOptions{
		Assertions: true,
		Missing:    func(c ownership.Change) error { archiveOnly = append(archiveOnly, handlers.Event(c).ID); return nil },
	}
	for _, c := range change {
		c(&o)
	}
	comparison, _, err := replay.Compare(t.Context(), s, open(t, file), o)
	require.NoError(t, err)
	add := func(changes []ownership.Change) {
		for _, c := range changes {
			registryOnly = append(registryOnly, handlers.Event(c).ID)
		}
	}
	require.NoError(t, s.EachMove(t.Context(), time.Time{}, func(e ownership.LedgerEntry) error { add(comparison.UnknownMoves(e)); return nil }))
	require.NoError(t, s.Export(t.Context(), func(r ownership.Record, _ *ownership.Ledger) error {
		unknown, err := comparison.Unknown(r)
		add(unknown)
		return err
	}))
	require.NoError(t, comparison.Close())
	slices.Sort(archiveOnly)
	slices.Sort(registryOnly)
	return archiveOnly, registryOnly
}

func TestARegistryAndItsOwnArchivesKnowTheSame(t *testing.T) {
	s, file := memregistry.New(), archiveOf(t, mixture()...)
	_, _, err := run(t, s, file)
	require.NoError(t, err)
	archiveOnly, registryOnly := compared(t, s, file)
	require.Empty(t, archiveOnly)
	require.Empty(t, registryOnly)

	var exported []any
	require.NoError(t, s.EachMove(t.Context(), time.Time{}, func(e ownership.LedgerEntry) error {
		for _, e := range handlers.ArchiveMove(e) {
			exported = append(exported, e)
		}
		return nil
	}))
	require.NoError(t, s.Export(t.Context(), func(r ownership.Record, _ *ownership.Ledger) error {
		for _, e := range handlers.Archive(r.Resource, r.History) {
			exported = append(exported, e)
		}
		return nil
	}))
	archiveOnly, registryOnly = compared(t, s, archiveOf(t, exported...))
	require.Empty(t, archiveOnly)
	require.Empty(t, registryOnly)
}

func TestWhatOnlyOneKnowsIsFoundEitherWay(t *testing.T) {
	s := memregistry.New()
	retraction := archived.NewRetracted("//nexus", "m20", "ops", "", time.Unix(60, 0))
	common := []any{created(1, "t_a"), created(2, "t_a"), tenantMoved(20, "t_a", "t_b"), tenantMoved(21, "t_a", "t_b", 2)}
	_, _, err := run(t, s, archiveOf(t, append(common, created(3, "t_a"), tenantMoved(22, "t_c", "t_d"), tenantMoved(23, "t_b", "t_a", 2), retraction)...))
	require.NoError(t, err)
	claimed, err := s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Canvas, ID: "ca"})
	require.NoError(t, err)
	require.True(t, claimed)
	before := export(t, s)

	claim := archived.NewClaimed(archived.Claimed{TenantID: "t_a", Resource: events.ResourceRef{Kind: "thread", ID: "th-9"}}, time.Unix(70, 0))
	back := archived.NewRetracted("//nexus", "m21x", "ops", "", time.Unix(80, 0))
	file := archiveOf(t, append(common, created(4, "t_a"), claim, tenantMoved(24, "t_e", "t_f"), tenantMoved(25, "t_a", "t_b", 1), back)...)
	archiveOnly, registryOnly := compared(t, s, file)
	require.Equal(t, []string{"c4", "m24", "m25", back.ID, claim.ID}, archiveOnly)
	require.Equal(t, []string{"c3", "canvas__ca__t_a", "m22", "m23", retraction.ID}, registryOnly)
	require.Equal(t, before, export(t, s), "nothing is written")

	archiveOnly, registryOnly = compared(t, s, file, func(o *replay.CompareOptions) { o.Since, o.Before = time.Unix(22, 0), time.Unix(60, 0) })
	require.Equal(t, []string{"m24", "m25"}, archiveOnly)
	require.Equal(t, []string{"m22", "m23"}, registryOnly)
}

func TestPlainSetsAreComparedOnlyIfThatIsAskedFor(t *testing.T) {
	s := memregistry.New()
	s.SetPlain("thread__th-1", "t_a", false)
	for asked, want := range map[bool]int{false: 0, true: 1} {
		_, registryOnly := compared(t, s, archiveOf(t, created(2, "t_a")), func(o *replay.CompareOptions) { o.Assertions = asked })
		require.Len(t, registryOnly, want)
	}
}

func TestTheFirstErrorOfWhoPrintsEndsAComparison(t *testing.T) {
	full := fmt.Errorf("the disk is full")
	calls := 0
	_, _, err := replay.Compare(t.Context(), memregistry.New(), open(t, archiveOf(t, created(1, "t_a"), created(2, "t_a"))), replay.CompareOptions{
		Missing: func(ownership.Change) error { calls++; return full },
	})
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, calls)
}
