package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestAMoveOfNothingIsDoubted(t *testing.T) {
	var out bytes.Buffer
	doubtNothing(&out, rewrite.NamedPlan{Plan: rewrite.Plan{Owners: map[registry.Kind]int64{registry.Thread: 1}}}, "t_acme")
	require.Empty(t, out.String())
	doubtNothing(&out, rewrite.NamedPlan{}, "t_amce")
	require.Equal(t, "  nothing would change hands: is t_amce the right tenant?\n", out.String())
}
