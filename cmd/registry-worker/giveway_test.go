package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRewritingGivesWayToEventsThatWait(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.replay(threads("t_old", "a", 2000)...)
	c.replay(tenantMoved("m", "2024-01-02T00:00:00Z", "t_old", "t_new"))
	c.project.FirestoreRules.Distance(20 * time.Millisecond)
	c.project.PubSubRules.Distance(20 * time.Millisecond)
	worker, _ := c.service("run", "--rate", "50", "--max-outstanding", "1") // the job takes more than a minute
	said := func(what string) func() bool {
		return func() bool { return strings.Contains(worker.Stderr.String(), what) }
	}
	published := 0
	require.Eventually(t, func() bool {
		published++
		c.run(exitDone, "publish", write(t, threads("t_other", "b"+strconv.Itoa(published), 50)...))
		return said("rewriting gives way")()
	}, time.Minute, time.Millisecond)
	require.Eventually(t, said("rewriting has all of its slots again"), time.Minute, 100*time.Millisecond)
}
