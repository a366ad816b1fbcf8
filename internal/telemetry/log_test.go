package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"

	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// inTrace returns a context with a span that is sampled.
func inTrace(t *testing.T) context.Context {
	return propagation.TraceContext{}.Extract(t.Context(),
		propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
}

// logged returns what write logs, a line of JSON.
func logged(t *testing.T, o telemetry.LogOptions, write func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	write(telemetry.NewLogger(&b, o))
	require.Equal(t, 1, strings.Count(b.String(), "\n"), b.String())
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	return line
}

func TestJSONLinesCarryTraceIDs(t *testing.T) {
	o := telemetry.LogOptions{Format: telemetry.JSON}
	line := logged(t, o, func(log *slog.Logger) {
		log.With("part", "test").InfoContext(inTrace(t), "refused", "reason", "schema", "took", 1500*time.Millisecond)
	})
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "refused", "reason": "schema", "part": "test", "took": "1.5s",
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
	}, line)
	require.NotContains(t, logged(t, o, func(log *slog.Logger) { log.Info("plain") }), "trace_id")
}

// The fields are those of https://cloud.google.com/logging/docs/structured-logging.
func TestGoogleLinesHaveTheFieldsThatCloudLoggingReads(t *testing.T) {
	line := logged(t, telemetry.LogOptions{Format: telemetry.Google, Project: "my-project"}, func(log *slog.Logger) {
		log.With("part", "test").ErrorContext(inTrace(t), "not applied", "took", 1500*time.Millisecond)
	})
	at, err := time.Parse(time.RFC3339Nano, line["time"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	place, _ := line["logging.googleapis.com/sourceLocation"].(map[string]any)
	require.Contains(t, place["file"], "log_test.go")
	require.Regexp(t, `^\d+$`, place["line"])
	require.Contains(t, place["function"], "TestGoogleLines")
	delete(line, "time")
	delete(line, "logging.googleapis.com/sourceLocation")
	require.Equal(t, map[string]any{
		"severity": "ERROR", "message": "not applied", "part": "test", "took": "1.5s",
		"logging.googleapis.com/trace":         "projects/my-project/traces/0af7651916cd43dd8448eb211c80319c",
		"logging.googleapis.com/spanId":        "b7ad6b7169203331",
		"logging.googleapis.com/trace_sampled": true,
	}, line)
}

func TestGoogleLinesOutsideATraceHaveNone(t *testing.T) {
	o := telemetry.LogOptions{Format: telemetry.Google, Project: "my-project"}
	line := logged(t, o, func(log *slog.Logger) { log.Info("listening") })
	require.Len(t, line, 3, "time, severity and message: %v", line)
	o.Project = ""
	line = logged(t, o, func(log *slog.Logger) { log.InfoContext(inTrace(t), "listening") })
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", line["trace_id"], "a trace has no name without its project")
	require.NotContains(t, line, "logging.googleapis.com/trace")
}

func TestLevelsAreGooglesSeverities(t *testing.T) {
	for level, want := range map[slog.Level][2]string{
		slog.LevelDebug:      {"DEBUG", "DEBUG"},
		slog.LevelInfo:       {"INFO", "INFO"},
		slog.LevelWarn:       {"WARN", "WARNING"},
		slog.LevelError:      {"ERROR", "ERROR"},
		telemetry.LevelFatal: {"FATAL", "CRITICAL"},
	} {
		write := func(log *slog.Logger) { log.Log(t.Context(), level, "x") }
		require.Equal(t, want[0], logged(t, telemetry.LogOptions{Format: telemetry.JSON, Level: slog.LevelDebug}, write)["level"])
		require.Equal(t, want[1], logged(t, telemetry.LogOptions{Format: telemetry.Google, Level: slog.LevelDebug}, write)["severity"])
	}
}

func TestPasswordsStayOutOfTheLog(t *testing.T) {
	for _, format := range telemetry.LogFormats {
		var log bytes.Buffer
		telemetry.NewLogger(&log, telemetry.LogOptions{Format: format}).Warn("export to https://user:pa55@collector",
			"error", fmt.Errorf("post: %w", errors.New("https://user:pa55@collector: refused")), "url", "https://user:pa55@collector")
		require.NotContains(t, log.String(), "pa55", format)
		require.Equal(t, 3, strings.Count(log.String(), "https://(redacted)@collector"), log.String())
	}
}

func TestLinesBelowTheLevelAreNotWritten(t *testing.T) {
	for format, want := range map[string]string{
		telemetry.JSON: `{"time":`, telemetry.Text: `time=`, telemetry.Google: `{"time":`,
	} {
		var b bytes.Buffer
		log := telemetry.NewLogger(&b, telemetry.LogOptions{Format: format, Level: slog.LevelWarn})
		log.Info("not said")
		require.Empty(t, b.String())
		log.Warn("said")
		require.True(t, strings.HasPrefix(b.String(), want), b.String())
	}
}

func TestTheFormOfTheLogFollowsWhereTheProcessRuns(t *testing.T) {
	for name, test := range map[string]struct {
		setting string
		daemon  bool
		env     map[string]string
		want    string
	}{
		"a service anywhere":         {"auto", true, nil, telemetry.JSON},
		"a command in a script":      {"auto", false, nil, telemetry.Text},
		"a service of Cloud Run":     {"auto", true, map[string]string{"K_SERVICE": "registry"}, telemetry.Google},
		"a job of Cloud Run":         {"auto", false, map[string]string{"CLOUD_RUN_JOB": "replay"}, telemetry.Google},
		"a worker pool of Cloud Run": {"auto", true, map[string]string{"CLOUD_RUN_WORKER_POOL": "worker"}, telemetry.Google},
		"a pod":                      {"auto", true, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, telemetry.Google},
		"a pod where it was set":     {"json", true, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, telemetry.JSON},
		"a setting that is none":     {"xml", true, nil, telemetry.JSON},
	} {
		lookup := func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }
		require.Equal(t, test.want, telemetry.LogFormat(test.setting, &bytes.Buffer{}, test.daemon, lookup), name)
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull) // a character device, but nobody is looking
	require.NoError(t, err)
	defer f.Close()
	require.False(t, telemetry.IsTerminal(f))
	require.False(t, telemetry.IsTerminal(&bytes.Buffer{}))
}
