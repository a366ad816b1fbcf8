package actions_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
)

func TestActionsAreKeptAtADistanceUnderTheServicesRules(t *testing.T) {
	t.Parallel()
	p := emulatortest.Firestore(t)
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	defer db.Close()
	p.FirestoreRules.Distance(50 * time.Millisecond)
	first, err := actions.Begin(t.Context(), db, actions.Action{Did: actions.Purge, By: "alice"})
	require.NoError(t, err)
	_, err = actions.Begin(t.Context(), db, actions.Action{Did: actions.Redrive, By: "bob"})
	require.NoError(t, err)
	require.NoError(t, actions.End(t.Context(), db, first, actions.Action{Letters: 3, Reasons: map[string]int{"malformed": 3}}))

	all, err := actions.List(t.Context(), db, 0)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "bob", all[0].By, "the latest is the first")
	require.Nil(t, all[0].Ended)
	require.Equal(t, 3, all[1].Letters)
	require.False(t, all[1].Ended.Before(all[1].Began))
}
