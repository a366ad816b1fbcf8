package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/presence"
)

func TestTheDoctorKnowsWhichReleasesRun(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	require.Equal(t, warning, c.examined(exitDone)["processes"].Verdict, "no worker runs")
	worker, _ := c.service("run")
	c.service("serve")
	var found finding
	require.Eventually(t, func() bool {
		found = c.examined(exitDone)["processes"]
		return found.Verdict == fine
	}, time.Minute, 100*time.Millisecond, "%v", found) // each time is a process
	release := buildVersion()
	require.Equal(t, "1 × API, "+release.Version+" (commit "+release.Commit+"); 1 × worker, "+release.Version+" (commit "+release.Commit+")", found.Detail)
	worker.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, worker.Wait(30*time.Second))
	require.Contains(t, c.examined(exitDone)["processes"].Detail, "no worker has said", "who ends takes it back")
}

func TestTheDoctorWarnsOfReleasesThatDiffer(t *testing.T) {
	own := build{Version: "v2", Commit: "c2"}
	of := func(role, version string) presence.Process {
		return presence.Process{Role: role, Version: version, Commit: "c" + version[1:]}
	}
	for name, test := range map[string]struct {
		all    []presence.Process
		want   verdict
		detail string
	}{
		"one release":           {[]presence.Process{of(roleAPI, "v2"), of(roleWorker, "v2"), of(roleWorker, "v2")}, fine, "1 × API, v2 (commit c2); 2 × worker, v2 (commit c2)"},
		"in a rollout":          {[]presence.Process{of(roleWorker, "v1"), of(roleWorker, "v2")}, warning, "of several releases: 1 × worker, v1 (commit c1); 1 × worker, v2 (commit c2)"},
		"the doctor is another": {[]presence.Process{of(roleBoth, "v1")}, warning, "1 × worker with API, v1 (commit c1), but this program is v2 (commit c2, )"},
		"no worker":             {[]presence.Process{of(roleAPI, "v2")}, warning, "1 × API, v2 (commit c2): no worker has said in the last 3m0s that it runs, so events wait"},
	} {
		d := &doctor{}
		d.releases(test.all, own)
		require.Equal(t, test.want, d.found[0].Verdict, name)
		require.Equal(t, test.detail, d.found[0].Detail, name)
		require.Equal(t, test.want != fine, d.found[0].Fix != "", name)
	}
}
