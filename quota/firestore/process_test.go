package firestore_test

import (
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/quota"
)

const soon = 30 * time.Second

func TestThrottleSurvivesRestart(t *testing.T) {
	project := emulatortest.Firestore(t)
	policy := quota.Policy{Limit: 20, Window: 10 * time.Second}

	first := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true})
	require.Eventually(t, func() bool { return len(decisions(t, first)) == 20 }, soon, time.Millisecond)
	first.Kill()
	first.Wait(soon)
	window := decisions(t, first)[0].Decision.Window

	second := start(t, project, task{Tenants: []string{"t_acme", "t_other"}, Policy: policy})
	require.Zero(t, second.Wait(soon))
	require.Zero(t, admitted(decisions(t, second), "t_acme"), "used up before the restart")
	require.Equal(t, window, decisions(t, second)[0].Decision.Window)
	require.Equal(t, 20, admitted(decisions(t, second), "t_other"), "not affected")

	third := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true})
	require.Eventually(t, func() bool { return len(decisions(t, third)) == 20 }, soon, time.Millisecond)
	next := decisions(t, third)[0].Decision.Window
	require.GreaterOrEqual(t, next.LastReset, window.LastReset+10, "not before the window's end, by the store's clock")
	require.Less(t, next.LastReset, window.LastReset+11, "and soon after it")
}

func TestACleanStopGivesTheRestBack(t *testing.T) {
	project := emulatortest.Firestore(t)
	policy := quota.Policy{Limit: 1000, Window: time.Hour}
	p := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true, Pause: 2 * time.Millisecond})
	require.Eventually(t, func() bool { return len(decisions(t, p)) > 50 }, soon, time.Millisecond)
	p.Signal(syscall.SIGTERM)
	require.Zero(t, p.Wait(soon))
	store := open(t, project, "")
	s, err := store.Load(t.Context(), quota.Key{Tenant: "t_acme", Action: childAction})
	require.NoError(t, err)
	require.EqualValues(t, len(decisions(t, p)), s.Window.Count)
}

// Four processes at full demand on one tenant; again and again one of them is
// killed and replaced.
func TestKilledProcessesNeverOvershootAndStrandAtMostTheirBlocks(t *testing.T) {
	const windows, limit, length = 5, 1000, 3 * time.Second
	project := emulatortest.Firestore(t)
	do := task{Tenants: []string{"t_acme"}, Policy: quota.Policy{Limit: limit, Window: length}, Forever: true}
	var all []*emulatortest.Process
	spawn := func() *emulatortest.Process {
		p := start(t, project, do)
		all = append(all, p)
		return p
	}
	running := []*emulatortest.Process{spawn(), spawn(), spawn(), spawn()}
	require.Eventually(t, func() bool { return len(decisions(t, running[3])) > 0 }, soon, time.Millisecond)
	kills := 0
	for began := time.Now(); time.Since(began) < windows*length; {
		time.Sleep(time.Duration(200+rand.IntN(600)) * time.Millisecond)
		i := rand.IntN(len(running))
		running[i].Kill()
		kills++
		running[i] = spawn()
	}
	byWindow := map[quota.WindowID]int64{}
	for _, p := range all {
		p.Kill()
		p.Wait(soon)
		for _, d := range decisions(t, p) {
			require.True(t, d.Decision.Allowed)
			byWindow[d.Decision.Window]++
		}
	}
	require.GreaterOrEqual(t, len(byWindow), windows)
	last := quota.WindowID{}
	for id := range byWindow {
		if id.LastReset > last.LastReset {
			last = id
		}
	}
	worst := int64(0)
	for id, n := range byWindow {
		require.LessOrEqual(t, n, int64(limit), "window %v", id)
		if id != last { // it was cut off
			worst = max(worst, limit-n)
		}
	}
	// Every kill strands a block, which is a quarter of what was unspent.
	bound := int64(float64(limit) * (1 - math.Pow(0.75, float64(kills)/windows)))
	t.Logf("%d windows of %d, %d processes killed: never above the limit, at most %d below it; the bound for so many kills is %d", len(byWindow), limit, kills, worst, bound)
	require.LessOrEqual(t, worst, bound)
}
