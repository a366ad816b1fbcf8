package fsquota_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

const soon = 30 * time.Second

func TestThrottleSurvivesRestart(t *testing.T) {
	t.Parallel()
	project := emulatortest.Firestore(t)
	policy := quota.Policy{Limit: 20, Window: 10 * time.Second}

	first := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true})
	require.Eventually(t, func() bool { return admitted(decisions(t, first), "t_acme") == 20 }, soon, time.Millisecond)
	first.Kill()
	first.Wait(soon)
	window := decisions(t, first)[0].Decision.Window

	second := start(t, project, task{Tenants: []string{"t_acme", "t_other"}, Policy: policy})
	require.Zero(t, second.Wait(soon))
	require.Zero(t, admitted(decisions(t, second), "t_acme"), "used up before the restart")
	require.Equal(t, window, decisions(t, second)[0].Decision.Window)
	require.Equal(t, 20, admitted(decisions(t, second), "t_other"), "not affected")

	third := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true})
	require.Eventually(t, func() bool { return admitted(decisions(t, third), "t_acme") == 20 }, soon, time.Millisecond)
	all := decisions(t, third)
	next := all[len(all)-1].Decision.Window
	require.GreaterOrEqual(t, next.LastReset, window.LastReset+10, "not before the window's end, by the store's clock")
	require.Less(t, next.LastReset, window.LastReset+11, "and soon after it")
}

func TestACleanStopReleasesTheRest(t *testing.T) {
	project := emulatortest.Firestore(t)
	policy := quota.Policy{Limit: 1000, Window: time.Hour}
	p := start(t, project, task{Tenants: []string{"t_acme"}, Policy: policy, Forever: true, Pause: 2 * time.Millisecond})
	require.Eventually(t, func() bool { return len(decisions(t, p)) > 50 }, soon, time.Millisecond)
	p.Signal(syscall.SIGTERM)
	require.Zero(t, p.Wait(soon))
	store := open(t, project, "")
	s, err := store.Load(t.Context(), limits.Key{Tenant: "t_acme", Action: childAction})
	require.NoError(t, err)
	require.EqualValues(t, len(decisions(t, p)), s.Window.Count)
}

// Four processes at full demand on one tenant; again and again one of them is
// killed and replaced.
func TestKilledProcessesNeverOvershootAndStrandAtMostTheirBlocks(t *testing.T) {
	t.Parallel()
	const windows, limit, length = 4, 1000, 4 * time.Second
	project := emulatortest.Firestore(t)
	project.FirestoreRules.WriteRate(0, 0) // the race for one document is what this is about
	do := task{Tenants: []string{"t_acme"}, Policy: quota.Policy{Limit: limit, Window: length}, Forever: true}
	var all []*emulatortest.Process
	spawn := func() *emulatortest.Process {
		p := start(t, project, do)
		all = append(all, p)
		return p
	}
	running := []*emulatortest.Process{spawn(), spawn(), spawn(), spawn()}
	kills := 0
	for began := time.Now(); len(usedUp(t, all)) <= windows && time.Since(began) < 2*time.Minute; kills++ {
		time.Sleep(500*time.Millisecond + rand.N(time.Second))
		i := rand.IntN(len(running))
		running[i].Kill()
		running[i] = spawn()
	}
	byWindow := map[quota.WindowID]int64{}
	for _, p := range all {
		p.Kill()
		p.Wait(soon)
		for _, d := range decisions(t, p) {
			if d.Decision.Allowed {
				byWindow[d.Decision.Window]++
			}
		}
	}
	for id, n := range byWindow {
		require.LessOrEqual(t, n, int64(limit), "window %v", id)
	}
	// In a window that was used up, what was not admitted is what kills have
	// stranded. One kill strands at most a quarter of what is unspent.
	full, worst := usedUp(t, all), int64(0)
	require.Greater(t, len(full), 2, "the machine is too slow to use up windows")
	for id := range full {
		worst = max(worst, limit-byWindow[id])
	}
	perWindow := float64(kills+1) / float64(len(byWindow))
	t.Logf("%d windows of %d, %d of them used up, %.1f kills in each: never above the limit, at most %d below it; one kill may strand %d",
		len(byWindow), limit, len(full), perWindow, worst, limit/4)
	require.LessOrEqual(t, worst, int64(math.Ceil(perWindow)*2*limit/4))
}

// usedUp is the windows, except for the last, in which somebody was refused.
func usedUp(t *testing.T, processes []*emulatortest.Process) map[quota.WindowID]bool {
	windows, last := map[quota.WindowID]bool{}, quota.WindowID{}
	for _, p := range processes {
		for line := range strings.Lines(p.Stdout.String()) {
			if d := (told{}); strings.Contains(line, `"Allowed":false`) && json.Unmarshal([]byte(line), &d) == nil {
				windows[d.Decision.Window] = true
				if d.Decision.Window.LastReset > last.LastReset {
					last = d.Decision.Window
				}
			}
		}
	}
	delete(windows, last)
	return windows
}
