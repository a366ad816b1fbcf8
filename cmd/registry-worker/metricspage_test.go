package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const metricsPage = "../../docs/metrics.md"

// catalogOf returns every metric of a worker that serves the API.
func catalogOf(t *testing.T) []observe.Metric {
	t.Helper()
	c := &observe.Catalog{}
	p := observe.Providers{MeterProvider: c}
	store, err := regstore.Open(t.Context(), memdb.New(time.Now), regstore.Options{MeterProvider: c})
	require.NoError(t, err)
	client, err := pubsub.NewClient(t.Context(), "test", option.WithEndpoint("127.0.0.1:1"), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	transport, err := consumer.NewPubSub(client, consumer.PubSubOptions{Subscriptions: []string{"s"}, DeadLetterTopic: "d", MeterProvider: c})
	require.NoError(t, err)
	t.Cleanup(transport.Close)
	_, err = consumer.New(store, transport, consumer.Options{MeterProvider: c})
	require.NoError(t, err)
	_, err = rewrite.New(store, rewrite.Options{MeterProvider: c})
	require.NoError(t, err)
	_, err = outbox.New(store, outbox.Options{MeterProvider: c})
	require.NoError(t, err)
	checks, err := verifier.New(store, verifier.Options{MaxStaleness: time.Second, MeterProvider: c})
	require.NoError(t, err)
	t.Cleanup(checks.Close)
	windows, err := quotastore.New(memdb.New(time.Now), quotastore.Options{MeterProvider: c})
	require.NoError(t, err)
	limiter, err := quota.New(windows, quota.Options{MeterProvider: c})
	require.NoError(t, err)
	t.Cleanup(func() { _ = limiter.Close(t.Context()) })
	_, err = api.New(api.Options{Verifier: checks, Registry: registry.New(store), MeterProvider: c})
	require.NoError(t, err)
	_, err = newStoreHealth(store, p)
	require.NoError(t, err)
	require.NoError(t, observeProgram(p, build{}, nil))
	require.NoError(t, telemetry.Observe(p, func() (faults, failures int64) { return 0, 0 }))
	return c.Metrics()
}

// scrapedName is a metric's name at /metrics, as OpenTelemetry's exporter makes it.
func scrapedName(m observe.Metric) string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if m.Kind == "counter" {
		name += "_total"
	}
	return name
}

func metricsTable(metrics []observe.Metric) string {
	var b strings.Builder
	b.WriteString("| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n")
	for _, m := range metrics {
		var labels []string
		for _, l := range m.Labels {
			text := "`" + strings.ReplaceAll(l.Name, ".", "_") + "`"
			if values := slices.DeleteFunc(slices.Clone(l.Values), func(v string) bool { return v == "" }); len(values) > 0 {
				text += ": `" + strings.Join(values, "`, `") + "`"
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", scrapedName(m), m.Kind, strings.Join(labels, "; "), m.Description)
	}
	return b.String()
}

const (
	tableBegins = "<!-- The table is made by `UPDATE_DOCS=1 go test -run TestTheMetricsPage ./cmd/registry-worker`. -->\n"
	tableEnds   = "<!-- End of the table. -->\n"
)

func TestTheMetricsPageIsMadeFromTheCode(t *testing.T) {
	text, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), tableBegins)
	require.True(t, found)
	_, after, found := strings.Cut(rest, tableEnds)
	require.True(t, found)
	want := before + tableBegins + metricsTable(catalogOf(t)) + tableEnds + after
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(metricsPage, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "make it anew by UPDATE_DOCS=1")
}

// What the page says is what a process has: by name, kind and labels.
func TestTheMetricsPageHasWhatAWorkerHas(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, url := c.service("run", "--api", "--streams", "1")
	known := map[string]observe.Metric{}
	for _, m := range catalogOf(t) {
		known[scrapedName(m)] = m
	}
	text := scraped(t, url)
	ours := 0
	for _, family := range regexp.MustCompile(`(?m)^# TYPE ((?:registry|quota|http)_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		m, ok := known[family[1]]
		require.True(t, ok, "docs/metrics.md has no %s", family[1])
		require.Equal(t, m.Kind, family[2], family[1])
		ours++
	}
	require.Greater(t, ours, len(known)/2, "histograms of what has not happened are not there")
	for _, m := range known {
		if m.Kind == "counter" && !slices.ContainsFunc(m.Labels, func(l observe.Label) bool { return len(l.Values) == 0 }) {
			require.Regexp(t, `(?m)^`+scrapedName(m)+`(\{[^}]*\})? \d`, text, "it starts at 0")
		}
	}
}
