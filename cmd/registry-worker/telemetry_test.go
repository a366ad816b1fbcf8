package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// noPlatform is the environment of a machine that is neither Cloud Run nor a pod.
var noPlatform = []string{"K_SERVICE=", "CLOUD_RUN_JOB=", "CLOUD_RUN_WORKER_POOL=", "KUBERNETES_SERVICE_HOST=", "GOOGLE_CLOUD_PROJECT="}

func TestAFatalErrorHasTheFormOfTheLog(t *testing.T) {
	t.Parallel()
	const google, object, plain = `"severity":"CRITICAL"`, `"level":"FATAL"`, "registry-worker: "
	for name, test := range map[string]struct {
		env  string
		args string
		want string
	}{
		"a bad flag of a service":              {"", "serve --zzz", object},
		"a bad flag on Cloud Run":              {"K_SERVICE=registry", "serve --zzz", google},
		"a bad flag in a pod":                  {"KUBERNETES_SERVICE_HOST=10.0.0.1", "run --zzz", google},
		"no project in a pod":                  {"KUBERNETES_SERVICE_HOST=10.0.0.1", "provision", google},
		"no command in a pod":                  {"KUBERNETES_SERVICE_HOST=10.0.0.1", "fnord", google},
		"a format that was set":                {"K_SERVICE=registry", "serve --zzz --log-format=json", object},
		"a format that was set by two words":   {"", "provision --log-format google", google},
		"a format that was set by a variable":  {"REGISTRY_LOG_FORMAT=google", "provision", google},
		"a format for people":                  {"K_SERVICE=registry", "serve --zzz --log-format text", plain},
		"a format that does not exist":         {"", "serve --log-format xml", object},
		"a command that somebody called":       {"", "provision", plain},
		"a misspelt variable, then the fault":  {"REGISTRY_DRAIN_TIMOUT=1s", "serve", object},
		"a fault after the configuration held": {"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "serve --project p-1 --listen nowhere.invalid:1 --api-token 0123456789abcdef", object},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := emulatortest.Run(t, append(noPlatform[:len(noPlatform):len(noPlatform)], test.env), emulatortest.Binary(t), strings.Fields(test.args)...)
			code := p.Wait(time.Minute)
			require.Contains(t, []int{exitFault, exitUsage}, code)
			lines := p.Stderr.Lines()
			last := lines[len(lines)-1]
			require.Contains(t, last, test.want)
			if test.want == plain {
				return
			}
			for _, line := range lines {
				require.True(t, json.Valid([]byte(line)), line)
			}
			var fatal struct {
				ExitCode int `json:"exit_code"`
			}
			require.NoError(t, json.Unmarshal([]byte(last), &fatal))
			require.Equal(t, code, fatal.ExitCode)
		})
	}
}

func TestOnATerminalTheLogIsText(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, append(noPlatform[:len(noPlatform):len(noPlatform)], "KUBERNETES_SERVICE_HOST=10.0.0.1"), "serve", "--zzz")
	s.await("registry-worker: serve: unknown flag --zzz")
}

// scraped returns the metrics of a process.
func scraped(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

func TestTelemetryThatCannotWorkIsToldAndDoesNotStopAService(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	c := onEmulators(t)
	c.env = []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS=authorization=s3cret",
		"OTEL_RESOURCE_ATTRIBUTES=team", "OTEL_METRICS_EXPORTER=otlp",
	}
	p := c.start("serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--metrics-listen", taken.Addr().String())
	url := addressIn(p.AwaitLine(`"api":true`, 30*time.Second))
	require.Eventually(t, func() bool { return get(t, url+"/readyz", "") == http.StatusOK }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/th_1/access", "t_a"), "checks are answered")
	errors := strings.Join(linesWith(p.Stderr.Lines(), `"level":"ERROR"`), "\n")
	for _, want := range []string{
		`OTEL_EXPORTER_OTLP_ENDPOINT=\"localhost:4318\": want a URL`,
		"OTEL_RESOURCE_ATTRIBUTES: left out what is not KEY=VALUE: team",
		"--metrics-listen " + taken.Addr().String() + ": another program listens there",
	} {
		require.Contains(t, errors, want)
	}
	taken.Close()
	monitored := addressIn(p.AwaitLine(`"api":false`, time.Minute))
	require.Contains(t, scraped(t, monitored), "registry_telemetry_faults 2", "the attributes, and the endpoint of both signals")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
	require.NotContains(t, p.Stderr.String(), "s3cret")
}

func linesWith(lines []string, text string) (found []string) {
	for _, line := range lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestConfigTellsOfTelemetryThatCannotWork(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")
	r := call(t, map[string]string{"GOOGLE_CLOUD_PROJECT": "my-project"}, "config")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, `OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4318"`)
}

func TestMetricsSayWhatRunsAndWithWhichSettingsButNoSecret(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = []string{"REGISTRY_API_TOKEN=0123456789abcdef"}
	p, url := c.service("serve", "--max-age", "45s")
	text := scraped(t, url)
	require.Regexp(t, `(?m)^registry_build_info\{commit="[^"]+",go_version="go1[^"]+",version="[^"]+"\} 1$`, text)
	require.Contains(t, text, `registry_setting_info{name="max-age",origin="flag",value="45s"} 1`)
	require.Contains(t, text, `registry_setting_info{name="max-staleness",origin="default",value="2s"} 1`)
	require.Contains(t, text, `registry_setting_info{name="api-token",origin="REGISTRY_API_TOKEN",value="(redacted)"} 1`)
	require.NotContains(t, text, "0123456789abcdef")
	require.Contains(t, text, "registry_telemetry_faults 0")
	require.Contains(t, text, `service_name="`+telemetry.ServiceName+`"`)
	require.Contains(t, text, "service_instance_id=")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}

// exportedSpan is a span as the exporter `console` prints it.
type exportedSpan struct {
	Name   string
	Parent struct{ SpanID string }
	Status struct{ Code string }

	Attributes []struct {
		Key   string
		Value struct{ Value any }
	}
}

func (s exportedSpan) attribute(key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.Value
		}
	}
	return nil
}

// What a service exports is of requests: none of its polls, once a second for ever.
// A claim of what another tenant has is nobody's failure, and each check is found by
// its resource, also if memory answers it.
func TestTheTracesOfAServiceAreThoseOfItsRequests(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = []string{"OTEL_TRACES_EXPORTER=console", "REGISTRY_API_TOKEN=0123456789abcdef"}
	p, url := c.service("serve")
	ask := func(method, path, tenant string) int {
		r, err := http.NewRequest(method, url+path, nil)
		require.NoError(t, err)
		r.Header.Set("X-Tenant-Id", tenant)
		r.Header.Set("Authorization", "Bearer 0123456789abcdef")
		r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusCreated, ask(http.MethodPut, "/v1/threads/th_1", "t_a"))
	require.Equal(t, http.StatusConflict, ask(http.MethodPut, "/v1/threads/th_1", "t_b"))
	require.Equal(t, http.StatusNotFound, ask(http.MethodGet, "/v1/threads/th_1/access", "t_b"))
	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusNoContent, ask(http.MethodGet, "/v1/threads/th_1/access", "t_a"))
		return strings.Contains(scraped(t, url), `registry_verifier_cache_hits_total{kind="thread"} 1`)
	}, 30*time.Second, 100*time.Millisecond)
	text := scraped(t, url)
	require.Regexp(t, `registry_store_duration_seconds_count\{operation="claim",outcome="refused"\} 1`, text)
	require.NotContains(t, text, `operation="claim",outcome="error"`)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))

	checks := 0
	for d := json.NewDecoder(strings.NewReader(p.Stdout.String())); d.More(); {
		var s exportedSpan
		require.NoError(t, d.Decode(&s))
		require.NotEqual(t, "0000000000000000", s.Parent.SpanID, "%s is the root of a trace", s.Name)
		require.NotEqual(t, "Error", s.Status.Code, s.Name)
		if s.Name == "GET /v1/threads/{id}/access" {
			require.Equal(t, "thread/th_1", s.attribute("registry.resource"))
			if s.attribute("registry.tenant_id") == "t_a" {
				checks++
			}
		}
	}
	require.GreaterOrEqual(t, checks, 2, "one that was read, and one from memory")
}
