package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// One operation moves two tenants under one id; then somebody uses the id once
// more, with an earlier time.
func TestAMoveUnderAKnownIDIsNeitherLostNorRewritesHistoryInSilence(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	a.create("a1", "t_a", "th_a", time.Now().Add(-time.Hour))
	a.create("b1", "t_b", "th_b", time.Now().Add(-time.Hour))
	a.await(func() bool { return a.owns("t_a", "th_a") && a.owns("t_b", "th_b") }, "both are there")
	a.move("merger", time.Now(), "t_a", "t_ab")
	a.await(func() bool { return a.owns("t_ab", "th_a") }, "the first counts")
	a.move("merger", time.Now(), "t_b", "t_ab")
	a.await(a.counted(1, "registry_dead_letters_total", `reason="conflict"`), "the second is no duplicate")
	require.True(t, a.owns("t_b", "th_b"))
	letters := a.deadLetters()
	for _, part := range []string{"came twice with different content", "from t_a to t_ab", "from t_b to t_ab"} {
		require.Contains(t, letters, part)
	}
	a.requireLogged("WARN", "message refused and dead-lettered", "conflict", "merger")

	a.move("merger", time.Now().Add(-time.Hour), "t_x", "t_y")
	a.await(func() bool { return a.owns("t_a", "th_a") }, "the smaller content counts, whatever the order")
	a.await(a.counted(1, "registry_displaced_total"), "which is counted")
	a.requireLogged("ERROR", "took the place of one that had been acknowledged", "from t_a to t_ab", "from t_x to t_y")
	list := a.run(exitDone, "moves", "list").Stdout.String()
	require.Regexp(t, `t_x +t_y +counts`, list)
	require.Regexp(t, `t_a +t_ab +displaced, does not count`, list, "what was displaced stays to be seen")
	require.Contains(t, a.run(exitDone, "moves", "list", "--json").Stdout.String(), `"displaced":[{"event":"moved"`)
	require.NotContains(t, a.run(exitDone, "export", "--events").Stdout.String(), "t_ab", "it is no part of archives")
	require.True(t, a.counted(1, "registry_moves_backdated_total")(), "a move of a whole tenant an hour before its publication is counted")

	// The way out: an id of its own.
	a.move("merger-a", time.Now(), "t_a", "t_ab")
	a.move("merger-b", time.Now(), "t_b", "t_ab")
	a.await(func() bool { return a.owns("t_ab", "th_a") && a.owns("t_ab", "th_b") }, "both have moved")
}

func TestACorrectedMoveUnderARetractedIDIsRefusedWithTheWayOut(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	a.create("a1", "t_old", "th_1", time.Now().Add(-time.Hour))
	a.move("move-14", time.Now(), "t_old", "t_wrong")
	a.await(func() bool { return a.owns("t_wrong", "th_1") }, "it counts")
	a.run(exitDone, "moves", "retract", "move-14", "--by", "kim@example.com", "--reason", "wrong tenant", "--yes")
	a.move("move-14", time.Now(), "t_old", "t_new")
	a.await(a.counted(1, "registry_dead_letters_total", `reason="conflict"`), "it is no duplicate")
	require.Contains(t, a.deadLetters(), "retracted; publish it under an id of its own")
	list := a.run(exitDone, "moves", "list").Stdout.String()
	require.Contains(t, list, "by kim@example.com: wrong tenant")
	a.move("move-14b", time.Now(), "t_old", "t_new")
	a.await(func() bool { return a.owns("t_new", "th_1") }, "under an id of its own it counts")
}

func TestAClaimedThreadIsNotTakenByACreationOfTheYearOne(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	claim := func(tenant, thread string) int { return do(t, http.MethodPut, a.url+"/v1/threads/"+thread, tenant) }
	require.Equal(t, http.StatusCreated, claim("t_victim", "th_c"))
	a.create("evil", "t_evil", "th_c", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC))
	a.await(a.counted(1, "registry_dead_letters_total", `reason="conflict"`), "it is refused")
	require.True(t, a.owns("t_victim", "th_c"))
	require.False(t, a.owns("t_evil", "th_c"))
	require.Contains(t, a.deadLetters(), "t_evil cannot have what t_victim claimed")
	require.Equal(t, http.StatusNoContent, claim("t_victim", "th_c"))
	require.Equal(t, http.StatusConflict, claim("t_evil", "th_c"))
	a.requireLogged("WARN", "claim refused", "t_evil", "t_victim")
	a.requireLogged("INFO", "claimed", "t_victim", "thread/th_c")

	// Its own event, from a machine whose clock stands at 1970, after everything
	// of its tenant was taken over an hour ago.
	a.move("k-move", time.Now().Add(-time.Hour), "t_k1", "t_k2")
	a.await(a.counted(1, "registry_moves_backdated_total"), "the move is there")
	require.Equal(t, http.StatusCreated, claim("t_k1", "th_k"))
	a.create("ev-k", "t_k1", "th_k", time.Unix(0, 0))
	a.await(a.counted(1, "registry_events_total", `outcome="duplicate"`), "the claim stands for both")
	require.True(t, a.owns("t_k1", "th_k"))
	require.False(t, a.owns("t_k2", "th_k"))
	require.Contains(t, a.run(exitDone, "inspect", "thread", "th_k").Stdout.String(), "claimed")

	// One that nobody claimed is born moved: it is applied, counted and logged.
	a.create("ev-b", "t_k1", "th_born", time.Unix(0, 0))
	a.await(a.counted(1, "registry_born_moved_total"), "it is counted")
	require.True(t, a.owns("t_k2", "th_born"))
	a.requireLogged("WARN", "belongs to another tenant from the first", "th_born", "t_k1", "t_k2", "k-move")
}

func TestAMoveWithAMisspeltMemberMovesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	for _, thread := range []string{"keep1", "keep2", "move1"} {
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, a.url+"/v1/threads/"+thread, "t_w1"))
	}
	for i, member := range []string{`"Resources":[{"kind":"thread","id":"move1"}]`, `"resource":[{"kind":"thread","id":"move1"}]`, `"resource_ids":["move1"]`} {
		data := fmt.Sprintf(`{"from_tenant_id":"t_w1","to_tenant_id":"t_w2",%s}`, member)
		a.send("nexus-tenant-moved", fmt.Sprint("typo-", i), "nexus.tenant.moved.v1", time.Now(), data)
		a.await(a.counted(i+1, "registry_dead_letters_total", `reason="schema"`), member)
		line := event(fmt.Sprint("typo-", i), "nexus.tenant.moved.v1", "2024-01-01T00:00:00Z", data)
		require.Contains(t, a.run(exitFault, "publish", write(t, line)).Stderr.String(), "did you mean resources", "publish refuses it before")
		require.Contains(t, a.run(exitFault, "replay", "--yes", write(t, line)).Stderr.String(), "did you mean resources", "and so does replay")
	}
	require.Contains(t, a.deadLetters(), "data/Resources: not a field here, did you mean resources")
	for _, thread := range []string{"keep1", "keep2", "move1"} {
		require.True(t, a.owns("t_w1", thread))
		require.False(t, a.owns("t_w2", thread))
	}
	require.Empty(t, a.run(exitDone, "moves", "list").Stdout.String())

	a.send("nexus-tenant-moved", "right", "nexus.tenant.moved.v1", time.Now(),
		`{"from_tenant_id":"t_w1","to_tenant_id":"t_w2","resources":[{"kind":"thread","id":"move1"}],"reason":"OPS-7","actor":"kim@example.com"}`)
	a.await(func() bool { return a.owns("t_w2", "move1") }, "spelt rightly it moves what it names")
	require.True(t, a.owns("t_w1", "keep1"))
	inspected := a.run(exitDone, "inspect", "thread", "move1").Stdout.String()
	require.Regexp(t, `kim@example.com +OPS-7`, inspected)
	require.Contains(t, a.run(exitDone, "inspect", "thread", "move1", "--json").Stdout.String(), `"actor": "kim@example.com"`)
}

func TestStrangersCannotFillAThreadsHistory(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, a.url+"/v1/threads/th_full", "t_a"))
	for i := range 130 {
		a.send("nexus-tenant-moved", fmt.Sprint("s", i), "nexus.tenant.moved.v1", time.Now(),
			`{"from_tenant_id":"t_nobody","to_tenant_id":"t_nobody2","resources":[{"kind":"thread","id":"th_full"}]}`)
	}
	a.await(a.counted(30, "registry_dead_letters_total", `reason="history_full"`), "a hundred are kept")
	a.send("nexus-tenant-moved", "true", "nexus.tenant.moved.v1", time.Now(),
		`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_full"}]}`)
	a.await(func() bool { return a.owns("t_b", "th_full") }, "the true move counts still")
	require.False(t, a.owns("t_a", "th_full"))
}

func TestAPublisherOfCanvasesMovesNobody(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, a.url+"/v1/threads/th_b", "t_b"))
	a.send("nexus-canvas-created", "evil2", "nexus.tenant.moved.v1", time.Now(), `{"from_tenant_id":"t_b","to_tenant_id":"t_evil"}`)
	a.await(a.counted(1, "registry_dead_letters_total", `reason="unknown_type"`), "its subscription carries canvases")
	require.True(t, a.owns("t_b", "th_b"))
	require.False(t, a.owns("t_evil", "th_b"))
}

// Of the creations of one thread the older counts; of the contents of one move
// the smaller. What lost is in inspect, and nowhere else.
func TestWhatIsDisplacedStaysToBeSeenInInspect(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	now := time.Now()
	a.create("true", "t_true", "th_d", now.Add(-time.Hour))
	a.await(func() bool { return a.owns("t_true", "th_d") }, "it is there")
	a.create("older", "t_older", "th_d", now.Add(-2*time.Hour))
	a.await(a.counted(1, "registry_displaced_total"), "an older creation takes its place, which is counted")
	a.requireLogged("ERROR", "took the place of one that had been acknowledged", "thread/th_d", "created by t_true")
	move := func(at time.Time, from, to string) {
		a.send("nexus-tenant-moved", "op-1", "nexus.tenant.moved.v1", at,
			fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q,"resources":[{"kind":"thread","id":"th_d"}]}`, from, to))
	}
	move(now, "t_older", "t_new")
	a.await(func() bool { return a.owns("t_new", "th_d") }, "a move that names it")
	move(now.Add(-10*time.Minute), "t_older", "t_attacker")
	a.await(a.counted(2, "registry_displaced_total"), "the same name, ten minutes earlier")
	require.True(t, a.owns("t_attacker", "th_d"), "the smaller counts, in whatever order")

	text := a.run(exitDone, "inspect", "thread", "th_d").Stdout.String()
	require.Regexp(t, `created +t_true +\(displaced, does not count\) +//n +true`, text)
	require.Regexp(t, `moved +t_older → t_new +\(displaced, does not count\) +//n +op-1`, text)
	var found inspection
	require.NoError(t, json.Unmarshal([]byte(a.run(exitDone, "inspect", "thread", "th_d", "--json").Stdout.String()), &found))
	require.Len(t, found.Displaced, 2, "the first first")
	require.Equal(t, []string{"created", "true", "t_true"}, []string{found.Displaced[0].Event, found.Displaced[0].ID, found.Displaced[0].Tenant})
	require.Equal(t, []string{"moved", "op-1", "t_new"}, []string{found.Displaced[1].Event, found.Displaced[1].ID, found.Displaced[1].To})
	require.Equal(t, "t_attacker", found.Owner)
	archive := a.run(exitDone, "export", "--events").Stdout.String()
	require.NotContains(t, archive, "t_true", "it is no part of archives")
	require.NotContains(t, archive, "t_new")
}

// A thousand moves that count are all that a history takes. What is refused then
// may be the move by which somebody was to lose access.
func TestAMoveThatIsRefusedThoughItWouldCountIsAnError(t *testing.T) {
	t.Parallel() // it mostly waits
	a := underAttack(t)
	r := registry.Resource{Kind: registry.Thread, ID: "th_full"}
	changes := []ownership.Change{{Resource: r, Entry: ownership.Entry{Type: ownership.Created, Tenant: "t_0", Version: ownership.Version{Time: time.Unix(0, 0).UTC(), Source: "//n", ID: "e"}}}}
	for i := range ownership.MaxMoves {
		changes = append(changes, ownership.Change{Resource: r, Entry: ownership.Entry{
			Type: ownership.Moved, From: fmt.Sprint("t_", i%2), To: fmt.Sprint("t_", (i+1)%2),
			Version: ownership.Version{Time: time.Unix(int64(i)+1, 0).UTC(), Source: "//n", ID: fmt.Sprint("m", i)},
		}})
	}
	for _, o := range a.open().Apply(t.Context(), changes) {
		require.Equal(t, ownership.Applied, o.Kind, "%v %s", o.Err, o.Detail)
	}
	send := func(id, from string) {
		a.send("nexus-tenant-moved", id, "nexus.tenant.moved.v1", time.Now(),
			fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":"t_new","resources":[{"kind":"thread","id":"th_full"}]}`, from))
	}
	send("stranger", "t_nobody")
	a.await(a.counted(1, "registry_dead_letters_total", `reason="history_full"`), "one without effect is refused")
	require.False(t, a.counted(1, "registry_history_full_would_count_total")(), "and is no error")
	send("true", "t_0")
	a.await(a.counted(1, "registry_history_full_would_count_total"), "one that would count is")
	a.requireLogged("ERROR", "a move that would have changed the owner was refused", "thread/th_full", "from t_0 to t_new", `"event_id":"true"`)
	a.await(a.counted(2, "registry_dead_letters_total", `reason="history_full"`), "both are dead letters")
	require.True(t, a.owns("t_0", "th_full"))
	require.False(t, a.owns("t_new", "th_full"))
}
