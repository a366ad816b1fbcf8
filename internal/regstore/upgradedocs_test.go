package regstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// At commit 1571751 anybody could publish events of the source registry: none of
// them becomes a claim by a name that is nearly that of one.
func TestACreationIsBroughtOverAsAClaimByItsWholeName(t *testing.T) {
	r := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	stored := ownership.ClaimEntry("t_a", r, time.Unix(1, 0))
	stored.Type = ownership.Created
	require.True(t, claim(r, stored))

	for name, change := range map[string]func(*ownership.Entry){
		"another tenant":   func(e *ownership.Entry) { e.Tenant = "t_b" },
		"more in its id":   func(e *ownership.Entry) { e.ID += "_2" },
		"another source":   func(e *ownership.Entry) { e.Source = "//nexus" },
		"a plain set":      func(e *ownership.Entry) { e.Type = ownership.Asserted },
		"another resource": func(e *ownership.Entry) { e.ID = "canvas__th_1__t_a" },
	} {
		e := stored
		change(&e)
		require.False(t, claim(r, e), name)
	}
}
