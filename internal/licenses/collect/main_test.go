package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/licenses"
)

func TestTheLicencesThatAreShippedAreThoseOfWhatIsLinked(t *testing.T) {
	text, err := collect()
	require.NoError(t, err)
	require.True(t, text == licenses.Text, "stale: go generate ./internal/licenses")
	require.Contains(t, text, "google.golang.org/grpc v")
	require.Contains(t, text, "Go (standard library and runtime)")
	require.Contains(t, text, "Apache License")
}
