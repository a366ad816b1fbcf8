package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/quota"
)

func TestAWindowIsShownWithItsParts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	in := &invocation{Config: &config.Config{}}
	in.Stdout = &out
	w := limits.Window{LastReset: 1, Length: time.Hour, Limit: 1000, Count: 600, Sharing: limits.Sharing{Parts: 10, PartLimit: 25}}
	s := limits.Status{Key: limits.Key{Tenant: "t_a", Action: "chat_send"}, Exists: true, Stored: w, InForce: w, ReadTime: time.Unix(2, 0)}
	require.NoError(t, in.printWindow(s, limits.NewPolicySet()))
	require.Contains(t, out.String(), "reserved  600 of 1000 in 1h0m0s\nparts     10 of 25 units each: 250 of what is reserved is for them\n")
}

func TestATenantsThrottleFromTheCommandLine(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte("policies:\n  - action: stream_connect\n    limit: 3\n    window: 1h\n"), 0o600))
	take := func(url, tenant string) int {
		return do(t, http.MethodPost, url+"/v1/quota/stream_connect/take", tenant)
	}

	// A claim whose answer is late on a busy machine counts as not obtained, so
	// fewer may pass, and never more.
	p, url := c.service("serve", "--throttle-policies", policies)
	admitted, answer := 0, take(url, "t_ada")
	for ; answer == http.StatusNoContent; answer = take(url, "t_ada") {
		admitted++
	}
	require.Equal(t, http.StatusTooManyRequests, answer)
	require.LessOrEqual(t, admitted, 3)
	require.Equal(t, http.StatusNoContent, take(url, "t_bob"), "another tenant is not affected")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))

	_, url = c.service("serve", "--throttle-policies", policies)
	require.Equal(t, http.StatusTooManyRequests, take(url, "t_ada"), "a restart forgets nothing")

	var shown windowReport
	show := c.run(exitDone, "quota", "show", "--json", "--throttle-policies", policies, "t_ada", "stream_connect")
	require.NoError(t, json.Unmarshal([]byte(show.Stdout.String()), &shown))
	require.Equal(t, [2]int64{3, 3}, [2]int64{shown.Count, shown.Limit})
	require.Equal(t, "* stream_connect", shown.Policy)
	show = c.run(exitDone, "quota", "show", "t_ada", "stream_connect")
	require.Contains(t, show.Stdout.String(), "3 of 3 in 1h0m0s")
	show = c.run(exitDone, "quota", "show", "t_nobody", "stream_connect")
	require.Contains(t, show.Stdout.String(), "none yet")

	r := c.run(exitUsage, "quota", "reset", "t_ada", "stream_connect")
	require.Contains(t, r.Stderr.String(), "standard input is no terminal: give --yes")
	require.Equal(t, http.StatusTooManyRequests, take(url, "t_ada"), "nothing was reset")
	r = c.run(exitDone, "quota", "reset", "--yes", "--by", "alice, ticket 4711", "t_ada", "stream_connect")
	require.True(t, strings.HasPrefix(r.Stderr.String(), "writing to project "+c.project.ID), r.Stderr)
	require.Contains(t, r.Stderr.String(), "The window of t_ada stream_connect has 3 units reserved since ")
	require.Contains(t, r.Stderr.String(), `msg="throttle window reset" tenant_id=t_ada action=stream_connect by="alice, ticket 4711"`)
	require.Contains(t, r.Stdout.String(), "by alice, ticket 4711; nothing is counted")
	require.Eventually(t, func() bool { return take(url, "t_ada") == http.StatusNoContent }, 20*time.Second, 50*time.Millisecond,
		"the running service hears of the reset")
	show = c.run(exitDone, "quota", "show", "t_ada", "stream_connect")
	require.Contains(t, show.Stdout.String(), "reset     by alice, ticket 4711 at 2", "claims leave the record as it is")
	show = c.run(exitDone, "quota", "show", "--json", "t_ada", "stream_connect")
	require.Contains(t, show.Stdout.String(), `"reset_by": "alice, ticket 4711"`)
}

func TestAResetAsksWithTheTargetAndTheWindow(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	reset := func(answer string, code int) string {
		s := onTerminal(t, c.project.Environ(), "quota", "reset", "t_ada", "all-actions")
		s.await("Type yes to go on")
		require.True(t, strings.HasPrefix(s.text(), "writing to project "+c.project.ID), s.text())
		require.Contains(t, s.text(), "There is no window of t_ada all-actions yet")
		require.Contains(t, s.text(), ": reset this window?")
		s.keys(answer)
		s.exits(code)
		return s.text()
	}
	require.Contains(t, reset("no\n", exitFault), "not confirmed, since the answer was no and not yes; nothing was changed")
	require.Contains(t, reset(ctrlC, exitFault), "interrupted; nothing was changed")
	show := c.run(exitDone, "quota", "show", "t_ada", "all-actions")
	require.Contains(t, show.Stdout.String(), "none yet")
	require.Contains(t, show.Stdout.String(), "policy    none (without --throttle-policies): nothing bounds all actions")
	require.Contains(t, reset("yes\n", exitDone), "t_ada all-actions: reset at 2")
	show = c.run(exitDone, "quota", "show", "t_ada", "all-actions")
	require.Contains(t, show.Stdout.String(), "reset     by ")
}

func TestShowTellsOfTheTotalAndOfAClosedList(t *testing.T) {
	var stdout strings.Builder
	in := &invocation{process: process{Stdout: &stdout}, Config: &config.Config{ThrottlePolicies: "policies.yaml"}}
	policies := limits.NewPolicySet(limits.Policies{ActionsClosed: true, List: []limits.Policy{
		{Action: quota.TotalAction, Limit: 7, Window: time.Hour}, {Action: "a", Limit: 5, Window: time.Minute},
	}})
	for action, want := range map[string]string{
		"a":               "policy    * a: 5 per 1m0s\ntotal     * all-actions: 7 per 1h0m0s: see quota show t_a all-actions\n",
		"b":               "closed    requests are refused: no policy names this action",
		quota.TotalAction: "policy    * all-actions: 7 per 1h0m0s\n",
	} {
		stdout.Reset()
		require.NoError(t, in.printWindow(limits.Status{Key: limits.Key{Tenant: "t_a", Action: action}}, policies))
		require.Contains(t, stdout.String(), want)
		require.Equal(t, action == "b", strings.Contains(stdout.String(), "closed"), action)
	}
}

func TestShowPrintsADamagedWindow(t *testing.T) {
	for _, lastReset := range []float64{math.NaN(), math.Inf(1), 9e18} {
		for _, flags := range []config.Config{{}, {JSON: true}} {
			var stdout strings.Builder
			in := &invocation{process: process{Stdout: &stdout}, Config: &flags}
			stored := limits.Window{LastReset: lastReset, Count: 100}
			now := time.Now()
			require.NoError(t, in.printWindow(limits.Status{Exists: true, Stored: stored, InForce: stored.At(now, limits.DefaultPolicy()), ReadTime: now, EndsAt: now}, limits.PolicySet{}))
			if !flags.JSON {
				require.Contains(t, stdout.String(), "had 100 reserved since no time (last_reset is ")
			}
		}
	}
}

func TestShowSaysWhereItHasReadNoPolicyFile(t *testing.T) {
	for file, want := range map[string]string{
		"":              "policy    default: 100 per 1m0s (without --throttle-policies)\n",
		"policies.yaml": "policy    default: 100 per 1m0s\n",
	} {
		var stdout strings.Builder
		in := &invocation{process: process{Stdout: &stdout}, Config: &config.Config{ThrottlePolicies: file}}
		require.NoError(t, in.printWindow(limits.Status{}, limits.PolicySet{}))
		require.Contains(t, stdout.String(), want)
	}
}

func TestABadPolicyFileIsToldOnceAndEveryFaultOfIt(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("policies:\n  - {limit: 0, window: 0s}\n"), 0o600))
	in := &invocation{Config: &config.Config{ThrottleBackend: config.Memory, ThrottlePolicies: bad}}
	_, err := in.openThrottle(t.Context(), &telemetry.Telemetry{})
	require.Equal(t, exitUsage, codeOf(err))
	require.Equal(t, 1, strings.Count(err.Error(), "throttle: "), err)
	require.Equal(t, 2, strings.Count(err.Error(), bad+":2: invalid: "), err)
}

func TestBadThrottleSettingsAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("policies:\n  - limit: many\n"), 0o600))
	c := onEmulators(t)
	for want, args := range map[string][]string{
		"bad.yaml:2":          {"serve", "--listen", "127.0.0.1:0", "--throttle-policies", bad},
		"no such file":        {"serve", "--listen", "127.0.0.1:0", "--throttle-policies", bad + ".missing"},
		"--throttle-on-error": {"serve", "--throttle-on-error", "maybe"},
		"want a tenant and":   {"quota", "show", "t_ada"},
		"bad.yaml:2:":         {"quota", "show", "--throttle-policies", bad, "t_ada", "stream_connect"},
		"invalid":             {"quota", "reset", "Ada", "stream_connect"},
		"want at most 256":    {"quota", "reset", "--yes", "--by", "a\x1b[2J", "t_ada", "stream_connect"},
		"--by":                {"quota", "reset", "--yes", "--by", strings.Repeat("a", 257), "t_ada", "stream_connect"},
		"is no regular file":  {"serve", "--listen", "127.0.0.1:0", "--throttle-policies", t.TempDir()},
		"--throttle-backend":  {"quota", "show", "--throttle-backend", "memory", "t_ada", "stream_connect"},
	} {
		p := c.run(exitUsage, args...)
		require.Contains(t, p.Stderr.String(), want, fmt.Sprint(strings.Join(args, " ")))
	}
}
