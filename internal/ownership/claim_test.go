package ownership_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

// claimed draws a claim of a history, by the rules of ownership.Record.Claim.
func claim(t *rapid.T, h ownership.History, l *ownership.Ledger) (tenant string, at time.Time, u ownership.Update, created bool, err error) {
	tenant = rapid.SampledFrom(tenants).Draw(t, "claims")
	at = time.Unix(rapid.Int64Range(0, 9).Draw(t, "claimed at"), 0).UTC()
	u, created, err = record(h, l).Claim(ownership.ClaimEntry(tenant, thread, at), l)
	return tenant, at, u, created, err
}

func record(h ownership.History, l *ownership.Ledger) ownership.Record {
	if len(h) == 0 {
		return ownership.NewRecord(thread.DocumentID(), "", nil, nil, 0, time.Time{})
	}
	return ownership.NewRecord(thread.DocumentID(), h.Owner(l), h, h.Path(l), l.Position(), time.Unix(100, 0))
}

func TestAClaimIsAnsweredYesIfItWinsOverMovesAlone(t *testing.T) {
	answers := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		var ref reference.Registry
		l := ledger(t, &ref)
		all := entries().Draw(t, "entries")
		h := merged(all...)
		for _, e := range all {
			ref.Add(ownership.Change{Resource: thread, Entry: e})
		}
		tenant, at, u, created, err := claim(t, h, l)

		before := ref.Owner(thread)
		ref.Add(ownership.Change{Resource: thread, Entry: ownership.ClaimEntry(tenant, thread, at)})
		registered := slices.ContainsFunc(all, func(e ownership.Entry) bool { return e.Type != ownership.Moved })
		switch {
		case before == tenant:
			answers["owned already"]++
			require.NoError(t, err)
			require.False(t, created)
			require.False(t, u.Write, "which stores nothing")
		case !registered && ref.Owner(thread) == tenant:
			answers["yes"]++
			require.NoError(t, err)
			require.True(t, created)
			require.Equal(t, tenant, u.TenantID)
			require.Equal(t, len(h) > 0, u.Feed, "what joins a document is told of")
		default:
			answers["no"]++
			require.ErrorIs(t, err, registry.ErrConflict)
			var conflict *ownership.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.NotEqual(t, tenant, conflict.Owner)
			require.Equal(t, registry.ErrConflict.Error(), err.Error(), "nobody learns whose it is")
			require.False(t, u.Write)
		}
	})
	require.Len(t, answers, 3, "each answer was met")
}

// The promise of a claim that was answered 201.
func TestAClaimIsNotUndoneByAnOlderCreationNorByAnOlderMoveOfAWholeTenant(t *testing.T) {
	met := 0
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		var moves []ownership.Entry
		for range rapid.IntRange(0, 3).Draw(t, "moves") {
			moves = append(moves, move(t, ownership.Entry{Version: version().Draw(t, "version")}))
		}
		tenant, at, u, created, err := claim(t, merged(moves...), l)
		if err != nil || !created {
			t.Skip("it was not answered yes")
		}
		met++
		r := record(u.History, l)
		for range rapid.IntRange(1, 4).Draw(t, "attacks") {
			creation := ownership.Entry{Type: ownership.Created, Version: version().Draw(t, "created"), Tenant: rapid.SampledFrom(tenants).Draw(t, "by")}
			update := r.Update([]ownership.Entry{creation}, l)
			require.False(t, update.Write, "not even written")
			want := ownership.Duplicate
			if creation.Tenant != tenant {
				want = ownership.Conflict
			}
			require.Equal(t, want, update.Outcomes[0].Kind, "whatever its time")
		}
		older := move(t, ownership.Entry{Version: ownership.Version{Time: at.Add(-time.Duration(rapid.IntRange(0, 9).Draw(t, "older")) * time.Second), Source: "", ID: "older"}})
		entry, _, _ := ownership.LedgerEntry{}.Merge(older, false)
		with := l.With(l.Position()+1, []ownership.LedgerEntry{entry})
		require.Equal(t, r.History.Owner(l), r.History.Owner(with))
	})
	require.NotZero(t, met)
}

// What a machine with a wrong clock did: everything of t_a had moved to t_b, t_a
// claims something new, and its event bears a time from before the move.
func TestAnEventWithAWrongClockDoesNotHandItsClaimToWhoeverTookOverTheTenant(t *testing.T) {
	moved := ledgerOf(moved("t_a", "t_b", 5, "m"))
	u, created1, err := record(nil, moved).Claim(ownership.ClaimEntry("t_a", thread, time.Unix(9, 0)), moved)
	require.NoError(t, err)
	require.True(t, created1)
	event := record(u.History, moved).Update([]ownership.Entry{created("t_a", 1, "e")}, moved)
	require.Equal(t, ownership.Duplicate, event.Outcomes[0].Kind)
	require.False(t, event.Write, "one read, no write")
	require.Equal(t, "t_a", event.TenantID)
}

func TestACreationIsBornMovedIfAMoveOfTheWholeTenantIsTheFirstThingThatHappensToIt(t *testing.T) {
	l := ledgerOf(moved("t_a", "t_b", 5, "m"))
	for name, c := range map[string]struct {
		entries []ownership.Entry
		want    string
	}{
		"caught at birth":        {[]ownership.Entry{created("t_a", 1, "e")}, "m"},
		"created after it":       {[]ownership.Entry{created("t_a", 6, "e")}, ""},
		"of another tenant":      {[]ownership.Entry{created("t_c", 1, "e")}, ""},
		"moved by name before":   {[]ownership.Entry{created("t_a", 1, "e"), moved("t_a", "t_c", 2, "n")}, ""},
		"not what counts":        {[]ownership.Entry{created("t_a", 1, "e"), created("t_a", 2, "later")}, ""},
		"its move without force": {[]ownership.Entry{created("t_a", 1, "e"), moved("t_x", "t_c", 2, "n")}, ""},
	} {
		o := record(nil, l).Update(c.entries, l).Outcomes
		got := ""
		if m := o[len(o)-1].BornMoved; m != nil {
			got = m.ID
		} else if m := o[0].BornMoved; m != nil && name != "not what counts" {
			got = m.ID
		}
		require.Equal(t, c.want, got, name)
	}
}

func TestClaimsInArchivesMergeWhateverIsThere(t *testing.T) {
	claim := func(tenant string, second int64) ownership.Entry {
		return ownership.ClaimEntry(tenant, thread, time.Unix(second, 0))
	}
	h := merged(created("t_a", 1, "e"), moved("t_a", "t_b", 2, "m"))
	u := record(h, nil).Update([]ownership.Entry{claim("t_c", 9)}, nil)
	require.Equal(t, ownership.Applied, u.Outcomes[0].Kind)
	require.Equal(t, "t_a", u.Outcomes[0].Displaced.Tenant)
	require.Equal(t, "t_c", u.TenantID)
	require.True(t, u.Feed)
	_, ok := u.History.Created()
	require.False(t, ok, "there is one base")
	require.Len(t, u.Displaced, 1)

	u = record(u.History, nil).Update([]ownership.Entry{claim("t_d", 10)}, nil)
	require.Equal(t, ownership.Conflict, u.Outcomes[0].Kind, "of two claims the smaller")
	u = record(u.History, nil).Update([]ownership.Entry{claim("t_d", 8)}, nil)
	require.Equal(t, ownership.Applied, u.Outcomes[0].Kind)
	require.Equal(t, "t_d", u.TenantID)
	require.Equal(t, "t_c", u.Outcomes[0].Displaced.Tenant)
}

// A cached history that was reliable would say yes for ever: the claim raises the
// start above a move that counted.
func TestAClaimThatJoinsCreationsOfTheSameTenantIsToldOf(t *testing.T) {
	l := ledgerOf(moved("t_a", "t_b", 5, "m"))
	h := merged(created("t_a", 1, "e"))
	u := record(h, l).Update([]ownership.Entry{ownership.ClaimEntry("t_a", thread, time.Unix(9, 0))}, l)
	require.Equal(t, "t_b", h.Owner(l))
	require.Equal(t, "t_a", u.TenantID)
	require.True(t, u.Feed)
}

func ledgerOf(moves ...ownership.Entry) *ownership.Ledger {
	var all []ownership.LedgerEntry
	for _, m := range moves {
		e, _, _ := ownership.LedgerEntry{}.Merge(m, false)
		all = append(all, e)
	}
	return ownership.NewLedger(int64(len(all)), all)
}
