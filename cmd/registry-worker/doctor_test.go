package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// examined runs the doctor, and returns what it found, by what it is about.
func (c program) examined(code int) map[string]finding {
	c.t.Helper()
	found := map[string]finding{}
	for line := range strings.Lines(c.run(code, "doctor", "--json").Stdout.String()) {
		var f finding
		require.NoError(c.t, json.Unmarshal([]byte(line), &f))
		found[f.What] = f
	}
	return found
}

func TestTheDoctorNamesWhatIsMissingAndWhatMendsIt(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	const topic, events, letters = "topic nexus-thread-created", "nexus-thread-created.realtime-registry", "realtime-registry-dead-letters"

	bare := c.examined(exitFault)
	require.Equal(t, fine, bare["database"].Verdict, "%v", bare)
	require.Equal(t, fine, bare["clock"].Verdict, "it is the same machine")
	require.Equal(t, warning, bare["log"].Verdict, "a restored database would have lost claims")
	require.Equal(t, "registry-worker provision", bare["log"].Fix)
	for _, what := range []string{topic, "subscription " + events, "topic " + letters, "subscription " + letters, "topic realtime-registry-log", "subscription realtime-registry-log"} {
		require.Equal(t, wrong, bare[what].Verdict, "%s: %v", what, bare)
		require.Equal(t, "registry-worker provision", bare[what].Fix)
	}

	c.run(exitDone, "provision")
	healthy := c.examined(exitDone)
	for what, f := range healthy {
		if what == "processes" || what == "registry" {
			continue // none runs, and nothing was created
		}
		require.Equal(t, fine, f.Verdict, "%s: %s", what, f.Detail)
	}

	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1")))
	c.run(exitDone, "moves", "start", "--yes", "--unknown", "--from", "t_a", "--to", "t_b", "--id", "friday")
	c.deleteSubscription("nexus-tenant-moved.realtime-registry")
	ill := c.examined(exitFault)
	require.Contains(t, ill["rewriting"].Detail, "1 job waits, the oldest for ")
	require.Equal(t, wrong, ill["subscription nexus-tenant-moved.realtime-registry"].Verdict)
	require.Equal(t, fine, ill[topic].Verdict)
	require.Contains(t, ill["backlog of "+events].Detail, "events wait", "of those that are there it is looked at")
	gone := ill["backlog of nexus-tenant-moved.realtime-registry"]
	require.Equal(t, []string{string(unseen), "there is no such subscription"}, []string{string(gone.Verdict), gone.Detail})

	c.run(exitDone, "provision")
	require.Eventually(t, func() bool { // what was looked at is given back
		return strings.HasPrefix(c.examined(exitDone)["backlog of "+events].Detail, "events wait")
	}, time.Minute, time.Millisecond)
	_, url := c.service("run")
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") == 1 }, time.Minute, 20*time.Millisecond, "and a worker gets it")
}

func TestTheDoctorTellsAClockThatIsWrong(t *testing.T) {
	now := time.Now()
	for skew, want := range map[time.Duration]verdict{
		0: fine, 500 * time.Millisecond: fine, -5 * time.Second: warning, 5 * time.Second: warning, time.Hour: wrong, -time.Hour: wrong,
	} {
		d := &doctor{}
		d.clock(now.Add(skew), now, now.Add(skew))
		require.Equal(t, want, d.found[0].Verdict, skew)
		require.Equal(t, want == fine, d.found[0].Fix == "")
	}
}
