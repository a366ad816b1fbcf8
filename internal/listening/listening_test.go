package listening_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/listening"
)

func TestAConnectionThatCannotBeOpenedIsLoggedOnceAndSoIsItsRecovery(t *testing.T) {
	var log bytes.Buffer
	lines := func() int { return strings.Count(log.String(), "\n") }
	s := listening.New(slog.New(slog.NewTextHandler(&log, nil)), "is not there", "is there again")
	require.Zero(t, s.Connected())
	s.Lives(t.Context())
	require.EqualValues(t, 1, s.Connected())
	s.Ended(t.Context(), errors.New("closed by the service"))
	require.Zero(t, s.Connected())
	require.Zero(t, lines(), "that one ends is usual")

	for range 5 {
		s.Ended(t.Context(), errors.New("refused"))
	}
	require.Equal(t, 1, lines())
	require.Contains(t, log.String(), "level=WARN msg=\"is not there\" error=refused")
	s.Lives(t.Context())
	s.Lives(t.Context())
	require.Equal(t, 2, lines())
	require.Contains(t, log.String(), "level=INFO msg=\"is there again\"")
}
