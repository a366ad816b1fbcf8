package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// result is what a call of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// call runs the program in this process, with the given environment alone, and
// text for its log unless that says otherwise.
func call(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := process{
		Args: args,
		LookupEnv: func(name string) (string, bool) {
			if v, ok := env[name]; ok || name != "REGISTRY_LOG_FORMAT" {
				return v, ok
			}
			return telemetry.Text, true
		},
		Environ: func() []string {
			var environ []string
			for name, value := range env {
				environ = append(environ, name+"="+value)
			}
			return environ
		},
		Stdin:  strings.NewReader(""),
		Stdout: &stdout,
		Stderr: &stderr,
	}
	code := p.exitCode(p.run(t.Context()))
	return result{code, stdout.String(), stderr.String()}
}

func TestUsageFaultsExitWith2AndSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		stderr string
	}{
		"no command":                        {nil, "no command; see registry-worker help"},
		"unknown command":                   {[]string{"fnord"}, `unknown command "fnord"; see registry-worker help`},
		"misspelt command":                  {[]string{"provison"}, `did you mean "provision"?`},
		"unknown flag":                      {[]string{"serve", "--zzzzzzzz"}, "serve: unknown flag --zzzzzzzz; see registry-worker help serve"},
		"misspelt flag":                     {[]string{"serve", "--projet", "p"}, `did you mean "--project"?`},
		"flag of another command":           {[]string{"serve", "--streams", "1"}, "serve: unknown flag --streams"},
		"flag before the command":           {[]string{"--project", "p", "serve"}, "--project must stand after the command"},
		"flag without its value":            {[]string{"serve", "--project"}, "flag needs an argument: --project"},
		"argument where none belongs":       {[]string{"serve", "now"}, `takes no arguments, but was given "now"`},
		"dash for a word":                   {[]string{"serve", "-"}, `takes no arguments, but was given "-"`},
		"negative number for a word":        {[]string{"serve", "-1"}, "takes no arguments"},
		"an option not UTF-8":               {[]string{"serve", "--\xff"}, "unknown flag"},
		"an empty word":                     {[]string{"serve", ""}, "takes no arguments"},
		"help for what does not exist":      {[]string{"help", "fnord"}, `unknown command "fnord"; see registry-worker help`},
		"help for a misspelt command":       {[]string{"help", "provison"}, `did you mean "provision"?`},
		"publish without a file":            {[]string{"publish", "--project", "p-1"}, "FILE"},
		"memory that no other sees":         {[]string{"run", "--project", "p-1", "--registry-backend", "memory"}, "no other process could read"},
		"memory that a worker must fill":    {[]string{"serve", "--project", "p-1", "--registry-backend", "memory"}, "another process"},
		"memory without anything to export": {[]string{"export", "--project", "p-1", "--registry-backend", "memory"}, "memory is empty"},
		"the API open to all":               {[]string{"serve", "--project", "p-1", "--listen", "0.0.0.0:0"}, "REGISTRY_API_TOKEN"},
		"the worker's API open to all":      {[]string{"run", "--project", "p-1", "--api", "--listen", ":0"}, "REGISTRY_API_TOKEN"},
		"two sources of one token":          {[]string{"dev", "--api-token", "0123456789abcdef", "--api-token-file", "f"}, "--api-token is given too"},
		"types of no subscription":          {[]string{"dev", "--accept", "other.sub=nexus.tenant.moved.v1"}, "is none of --subscriptions"},
		"no project":                        {[]string{"run"}, "--project (GOOGLE_CLOUD_PROJECT) is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, nil, c.args...)
			require.Equal(t, exitUsage, r.code, r.stderr)
			require.Contains(t, r.stderr, c.stderr)
			require.True(t, strings.HasPrefix(r.stderr, "registry-worker: "), r.stderr)
			require.Empty(t, r.stdout)
			require.NotContains(t, r.stderr, "  ;")
		})
	}
}

func TestAllFaultsOfFlagsAndVariablesAreToldAtOnce(t *testing.T) {
	r := call(t, map[string]string{"REGISTRY_STREAMS": "0", "REGISTRY_API_TOKEN": "top secret"},
		"run", "--listen", "nowhere", "--drain-timeout=soon", "--api=maybe")
	require.Equal(t, exitUsage, r.code)
	for _, want := range []string{
		"6 faults",
		`--drain-timeout "soon": want a duration`,
		`--streams "0" (from REGISTRY_STREAMS): want a whole number`,
		`--listen "nowhere": want host:port`,
		`--api-token "(redacted)" (from REGISTRY_API_TOKEN)`,
		`--api "maybe": want true or false`,
		"--project (GOOGLE_CLOUD_PROJECT) is not set",
	} {
		require.Contains(t, r.stderr, want)
	}
	require.NotContains(t, r.stderr, "top secret")
}

func TestHelpOfEveryCommandHasAnExampleAndItsVariables(t *testing.T) {
	root := call(t, nil, "help")
	require.Equal(t, exitDone, root.code)
	for _, c := range commands() {
		require.Contains(t, root.stdout, c.Name)
		for _, args := range [][]string{{"help", c.Name}, {c.Name, "--help"}, {c.Name, "-h"}} {
			r := call(t, nil, args...)
			require.Equal(t, exitDone, r.code, args)
			require.Empty(t, r.stderr)
			require.Contains(t, r.stdout, "Example:\n")
			require.Contains(t, r.stdout, "registry-worker "+c.Name)
			require.NotEmpty(t, c.Examples)
			for _, s := range config.In(c.Groups) {
				require.Contains(t, r.stdout, "--"+s.Name)
				require.Equal(t, !s.FlagOnly, strings.Contains(r.stdout, "[$"+config.EnvName(s.Name)+"]") || strings.Contains(r.stdout, "[$"+s.Env+"]"), s.Name)
			}
		}
	}
}

func TestConfigShowsWhatTakesEffectAndWhereItCameFrom(t *testing.T) {
	r := call(t, map[string]string{
		"GOOGLE_CLOUD_PROJECT":               "from-env",
		"REGISTRY_API_TOKEN":                 "s3cret-s3cret-s3cret",
		"FIRESTORE_EMULATOR_HOST":            "127.0.0.1:9",
		"OTEL_EXPORTER_OTLP_HEADERS":         "authorization=s3cret",
		"OTEL_EXPORTER_OTLP_ENDPOINT":        "https://user:s3cret@collector:4318",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector:4318/v1/traces?token=s3cret",
	}, "config", "--streams", "3")
	require.Equal(t, exitDone, r.code, r.stderr)
	require.Regexp(t, `(?m)^--project +from-env +GOOGLE_CLOUD_PROJECT `, r.stdout)
	require.Regexp(t, `(?m)^--streams +3 +flag +REGISTRY_STREAMS$`, r.stdout)
	require.Regexp(t, `(?m)^--listen +127\.0\.0\.1:8080 +default +REGISTRY_LISTEN$`, r.stdout)
	require.Regexp(t, `(?m)^--api-token +\(redacted\) +REGISTRY_API_TOKEN `, r.stdout)
	require.Contains(t, r.stdout, "127.0.0.1:9")
	require.NotContains(t, r.stdout+r.stderr, "s3cret")
}

func TestServicesListenWherePORTSaysAndDevDoesNot(t *testing.T) {
	env := map[string]string{"GOOGLE_CLOUD_PROJECT": "p-1", "PORT": "http"}
	for _, command := range []string{"serve", "run", "config"} {
		r := call(t, env, command)
		require.Equal(t, exitUsage, r.code, command)
		require.Contains(t, r.stderr, "from PORT", command)
	}
	r := call(t, env, "dev", "--accept", "other.sub=nexus.tenant.moved.v1") // which is a fault, so that it does not start
	require.NotContains(t, r.stderr, "PORT", "it stays on loopback")
}

func TestAMisspeltVariableIsToldByEveryCommand(t *testing.T) {
	for _, command := range []string{"config", "inspect", "version"} {
		r := call(t, map[string]string{"REGISTRY_DRAIN_TIMOUT": "1s", "REGISTRY_STREAMS": "3", "REGISTRY_OF_SOMEBODY_ELSE": "1"}, command)
		require.Equal(t, `warning: REGISTRY_DRAIN_TIMOUT is not a setting, did you mean "REGISTRY_DRAIN_TIMEOUT"?`,
			strings.SplitN(r.stderr, "\n", 2)[0], command)
		require.NotContains(t, r.stderr, "SOMEBODY_ELSE", command)
	}
}

func TestConfigShowsFaultsBesideWhatIsRight(t *testing.T) {
	r := call(t, nil, "config", "--streams", "none")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stdout, "--listen")
	require.Contains(t, r.stderr, "--project (GOOGLE_CLOUD_PROJECT) is not set")
	require.Contains(t, r.stderr, `--streams "none"`)
}

func TestConfigReadsThePolicyFile(t *testing.T) {
	project := map[string]string{"GOOGLE_CLOUD_PROJECT": "my-project"}
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "policies.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	good, bad := write("policies: [{limit: 1}]"), write("policies: [{limit: many}]")
	require.Equal(t, exitDone, call(t, project, "config", "--throttle-policies", good).code)
	for file, fault := range map[string]string{bad: bad + ":1: invalid: limit", bad + ".missing": "no such file"} {
		r := call(t, project, "config", "--throttle-policies", file)
		require.Equal(t, exitUsage, r.code)
		require.Contains(t, r.stdout, "--listen")
		require.Contains(t, r.stderr, fault)
	}
	r := call(t, nil, "config", "--throttle-policies", bad)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "GOOGLE_CLOUD_PROJECT")
	require.Contains(t, r.stderr, bad+":1: ", "with the other faults")
}

func TestVersionTellsModuleCommitAndGo(t *testing.T) {
	r := call(t, nil, "version")
	require.Equal(t, exitDone, r.code)
	require.Regexp(t, `^registry-worker \S+ \(commit \S+, go1\.\d+.*\)\n$`, r.stdout)
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("fault"), 1},
		{fmt.Errorf("publish: %w", errReported), 1},
		{context.Canceled, 1},
		{usagef("usage"), 2},
		{fmt.Errorf("run: %w", usagef("usage")), 2},
		{fmt.Errorf("run: %w", config.Faults{{Want: "x"}}), 2},
	} {
		var stderr bytes.Buffer
		require.Equal(t, c.code, (process{Stderr: &stderr, LookupEnv: os.LookupEnv}).exitCode(c.err), "%v", c.err)
		require.Equal(t, c.err == nil || errors.Is(c.err, errReported), stderr.Len() == 0, "told once")
	}
}

func TestSuggestionsAreNearOrNotMade(t *testing.T) {
	names := []string{"publish", "provision"}
	require.Contains(t, didYouMean(names, "publsh"), "publish")
	require.Contains(t, didYouMean(names, "Publish"), "publish")
	require.Empty(t, didYouMean(names, "x"))
	require.Empty(t, didYouMean(names, ""))
	require.Empty(t, didYouMean(names, strings.Repeat("q", 1000)))
}
