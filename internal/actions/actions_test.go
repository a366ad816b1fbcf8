package actions_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
)

func TestTheLatestActionIsListedFirstAndOneWithoutAnEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memdb.New(time.Now)
		began := time.Now().UTC()
		first, err := actions.Begin(t.Context(), db, actions.Action{Did: actions.Purge, By: "alice", Comment: "4711", Which: "--reason malformed"})
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = actions.Begin(t.Context(), db, actions.Action{Did: actions.Redrive, By: "bob"})
		require.NoError(t, err)
		time.Sleep(time.Second) // commits of one moment get different times
		require.NoError(t, actions.End(t.Context(), db, first, actions.Action{Letters: 3, Reasons: map[string]int{"malformed": 3}, Failure: "cut off"}))

		all, err := actions.List(t.Context(), db, 0)
		require.NoError(t, err)
		ended := began.Add(2 * time.Second)
		require.Equal(t, []actions.Action{
			{Did: actions.Redrive, By: "bob", Began: began.Add(time.Second)},
			{Did: actions.Purge, By: "alice", Comment: "4711", Which: "--reason malformed", Began: began, Ended: &ended, Letters: 3, Reasons: map[string]int{"malformed": 3}, Failure: "cut off"},
		}, all)
		latest, err := actions.List(t.Context(), db, 1)
		require.NoError(t, err)
		require.Equal(t, all[:1], latest)
	})
}
