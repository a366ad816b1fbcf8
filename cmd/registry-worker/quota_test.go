package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/quota"
)

func TestATenantsThrottleFromTheCommandLine(t *testing.T) {
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

	c.run(exitDone, "quota", "reset", "t_ada", "stream_connect")
	require.Eventually(t, func() bool { return take(url, "t_ada") == http.StatusNoContent }, 20*time.Second, 50*time.Millisecond,
		"the running service hears of the reset")
}

func TestShowSaysWhereItHasReadNoPolicyFile(t *testing.T) {
	for file, want := range map[string]string{
		"":              "policy   default: 100 per 1m0s (without --throttle-policies)\n",
		"policies.yaml": "policy   default: 100 per 1m0s\n",
	} {
		var stdout strings.Builder
		in := &invocation{process: process{Stdout: &stdout}, Config: &config.Config{ThrottlePolicies: file}}
		require.NoError(t, in.printWindow(quota.Status{}, quota.DefaultPolicy))
		require.Contains(t, stdout.String(), want)
	}
}

func TestABadPolicyFileIsToldOnceAndEveryFaultOfIt(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("policies:\n  - {limit: 0, window: 0s}\n"), 0o600))
	in := &invocation{Config: &config.Config{ThrottleBackend: config.Memory, ThrottlePolicies: bad}}
	_, err := in.openThrottle(t.Context(), &telemetry.Telemetry{})
	require.Equal(t, exitUsage, exitCode(io.Discard, err))
	require.Equal(t, 1, strings.Count(err.Error(), "throttle: "), err)
	require.Equal(t, 2, strings.Count(err.Error(), bad+":2: invalid: "), err)
}

func TestBadThrottleSettingsAreRefusedAtTheStart(t *testing.T) {
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
		"--throttle-backend":  {"quota", "show", "--throttle-backend", "memory", "t_ada", "stream_connect"},
	} {
		p := c.run(exitUsage, args...)
		require.Contains(t, p.Stderr.String(), want, fmt.Sprint(strings.Join(args, " ")))
	}
}
