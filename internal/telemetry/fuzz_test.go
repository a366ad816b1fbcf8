package telemetry_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// Whatever a variable of OpenTelemetry's says, it is followed, or the fault says what
// is wrong with it; no service ends by it.
func FuzzVariables(f *testing.F) {
	names := []string{
		"OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_METRIC_EXPORT_INTERVAL",
		"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME",
	}
	for i := range names {
		for _, value := range []string{"otlp", "http://localhost:4318", "localhost:4318", "a=b,c", "a=%zz", "-1", "true", "parentbased_traceidratio", "http/protobuf"} {
			f.Add(uint(i), value)
		}
	}
	f.Fuzz(func(t *testing.T, i uint, value string) {
		if strings.ContainsAny(value, "\x00") {
			return // no environment can hold it
		}
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
		t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
		t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
		require.NoError(t, os.Setenv(names[i%uint(len(names))], value)) // t.Setenv gives back what was there before
		defer os.Unsetenv(names[i%uint(len(names))])
		if err := telemetry.Check(t.Context()); err != nil {
			require.NotEmpty(t, err.Error())
			require.True(t, utf8.ValidString(err.Error()) || !utf8.ValidString(value))
		}
	})
}
