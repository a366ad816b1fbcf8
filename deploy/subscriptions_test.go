package deploy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

func TestTerraformConsumesTheSubscriptionOfEveryType(t *testing.T) {
	text, err := os.ReadFile("terraform/variables.tf")
	require.NoError(t, err)
	_, defaults, found := strings.Cut(string(text), `variable "subscriptions"`)
	require.True(t, found)
	defaults, _, _ = strings.Cut(defaults, "\n}\n")
	for _, typ := range events.PublishedTypes() {
		require.Contains(t, defaults, `"`+typ.Subscription()+`"`)
	}
}
