package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADrainInTheMiddleAcksWhatIsCommittedAndNothingElse(t *testing.T) {
	t.Parallel()
	const threads = 1000
	c := onEmulators(t)
	c.run(exitDone, "provision")
	var lines, owners []string
	for i := range threads {
		lines = append(lines, created(strconv.Itoa(i), "2024-01-01T00:00:00Z", fmt.Sprintf("t_%d", i%7), fmt.Sprintf("th_%04d", i)))
		owners = append(owners, fmt.Sprintf(`{"kind":"thread","id":"th_%04d","tenant_id":"t_%d"}`, i, i%7))
	}
	file := write(t, lines...)
	c.run(exitDone, "publish", file)

	// Few messages at a time, so that there is a middle. What
	// was counted by the end is exported at the end.
	c.env = append(c.env, "OTEL_METRICS_EXPORTER=console")
	first, url := c.service("run", "--max-outstanding", "20", "--streams", "1")
	require.Eventually(t, func() bool { return settledMessages(t, url) > threads/20 }, 30*time.Second, time.Millisecond)
	first.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, first.Wait(30*time.Second))
	outcomes := exportedOutcomes(t, first.Stdout.String())
	committed := strings.Count(c.run(exitDone, "export").Stdout.String(), "\n")
	require.Less(t, committed, threads, "it was the middle")
	require.Equal(t, committed, outcomes["applied"], "acked is what is committed")
	require.Zero(t, outcomes["refused"])

	// The service delivers the rest again when its leases end. That can take
	// minutes in the emulator, and publishing again is harmless.
	c.run(exitDone, "publish", file)
	second, url := c.service("run")
	require.Eventually(t, func() bool { return settledMessages(t, url) >= threads }, time.Minute, 20*time.Millisecond)
	require.Zero(t, sum(t, url, "registry_dead_letters_total"))
	second.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, second.Wait(30*time.Second))
	require.Equal(t, strings.Join(owners, "\n")+"\n", c.run(exitDone, "export").Stdout.String())
}

// exportedOutcomes adds up registry.events by outcome, as the console exporter
// printed it last.
func exportedOutcomes(t *testing.T, stdout string) map[string]int {
	t.Helper()
	outcomes := map[string]int{}
	for line := range strings.Lines(stdout) {
		var export struct {
			ScopeMetrics []struct {
				Metrics []struct {
					Name string
					Data struct {
						DataPoints []struct {
							Attributes []struct {
								Key   string
								Value struct{ Value any }
							}
							Value json.Number
						}
					}
				}
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &export))
		clear(outcomes)
		for _, scope := range export.ScopeMetrics {
			for _, metric := range scope.Metrics {
				if metric.Name != "registry.events" {
					continue
				}
				for _, point := range metric.Data.DataPoints {
					for _, attribute := range point.Attributes {
						if attribute.Key == "outcome" {
							n, err := point.Value.Int64()
							require.NoError(t, err)
							outcomes[fmt.Sprint(attribute.Value.Value)] += int(n)
						}
					}
				}
			}
		}
	}
	return outcomes
}

// settledMessages is how many messages a worker has settled for good.
func settledMessages(t *testing.T, url string) int {
	t.Helper()
	total := 0
	for line := range strings.Lines(metrics(t, url)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if strings.HasPrefix(name, "registry_events_total{") && !strings.Contains(name, `outcome="transient"`) {
			n, err := strconv.Atoi(value)
			require.NoError(t, err, line)
			total += n
		}
	}
	return total
}

// sum adds up the series of a counter.
func sum(t *testing.T, url, metric string) int {
	t.Helper()
	total := 0
	for line := range strings.Lines(metrics(t, url)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), "} "); strings.HasPrefix(name, metric+"{") {
			n, err := strconv.Atoi(value)
			require.NoError(t, err, line)
			total += n
		}
	}
	return total
}

// scrape returns the value of one series, "" if there is none.
func scrape(t *testing.T, url, series string) string {
	t.Helper()
	for line := range strings.Lines(metrics(t, url)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func metrics(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
