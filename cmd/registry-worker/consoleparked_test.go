package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestTheConsoleShowsMovesFirstWhoseRewritingWasGivenUp(t *testing.T) {
	store := jobs{
		pending: []ownership.LedgerEntry{job("goes-on", time.Minute, ownership.Rewriting{})},
		parked:  []ownership.LedgerEntry{job("stuck", time.Hour, ownership.Rewriting{ParkedAt: time.Now(), Failure: "a document is too large", Tries: 10})},
	}
	found, err := (&consoleLook{service: &service{store: store}}).Pending(t.Context())
	require.NoError(t, err)
	moves := found.([]listedMove)
	require.Equal(t, "stuck", moves[0].ID)
	require.Equal(t, "a document is too large", moves[0].Rewriting.Failure)
	require.NotNil(t, moves[0].Rewriting.ParkedAt)
	require.Equal(t, "goes-on", moves[1].ID)
}
