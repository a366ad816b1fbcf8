//go:build proofs

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/erasure"
)

// A tenant with ten thousand threads is erased from Firestore while a worker runs: what
// it owns, what it gave away, what it got by the move of a whole tenant, and moves with
// its name in their ids. Nothing that Firestore holds names it afterwards.
func TestProofThatATenantWithTenThousandThreadsIsErased(t *testing.T) {
	const all, given, got = 10_000, 300, 200
	c := onEmulators(t)
	c.run(exitDone, "provision")
	began := time.Now()
	lines := append(threads("t_left", "th", all), threads("t_old", "old", got)...)
	lines = append(lines, threads("t_else", "else", 100)...)
	resources, _ := json.Marshal(resourcesOf("th", given))
	lines = append(lines,
		event("gift", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z", fmt.Sprintf(`{"from_tenant_id":"t_left","to_tenant_id":"t_else","resources":%s,"reason":"a gift of t_left"}`, resources)),
		tenantMoved("t_old-t_left", "2024-01-04T00:00:00Z", "t_old", "t_left"), tenantMoved("m", "2024-01-05T00:00:00Z", "t_left", "t_no"))
	c.patient("replay", "--yes", "--rate", "unlimited", write(t, lines...))
	c.run(exitDone, "moves", "retract", "m", "--yes", "--reason", "not of t_left")
	t.Logf("made in %v", time.Since(began).Round(time.Second))
	c.service("run", "--api", "--rate", "unlimited")
	c.patient("moves", "verify", "t_old-t_left", "--wait")
	c.patient("moves", "verify", "m", "--wait")

	began = time.Now()
	plan := decoded[erasure.Plan](t, c.run(exitDone, "tenants", "erase", "--dry-run", "--json", "t_left").Stdout.String())
	require.EqualValues(t, all+got, plan.Documents)
	r := decoded[erasure.Report](t, c.patient("tenants", "erase", "--yes", "--json", "--rate", "unlimited", "--reason", "ticket 4711", "t_left"))
	t.Logf("erased in %v: %+v", time.Since(began).Round(time.Second), r)
	require.Empty(t, r.Left)
	require.EqualValues(t, plan.Documents, r.Documents)
	require.Equal(t, all-given+got, r.Deleted)
	began = time.Now()
	require.Empty(t, c.namesOf("t_left"))
	t.Logf("searched everything in %v", time.Since(began).Round(time.Second))
	require.Empty(t, c.patient("export", "--check"))
	require.Equal(t, given+100, strings.Count(c.patient("export"), `"tenant_id":"t_else"`), "who has something of it keeps it")
}

// resourcesOf are n threads as an event names them.
func resourcesOf(prefix string, n int) (all []map[string]string) {
	for i := range n {
		all = append(all, map[string]string{"kind": "thread", "id": fmt.Sprintf("%s_%05d", prefix, i)})
	}
	return all
}
