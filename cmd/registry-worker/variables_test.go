package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

func TestVariablesOfOthersAreNoMisspeltOnes(t *testing.T) {
	// https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
	for _, name := range []string{
		"REGISTRY_SERVICE_HOST", "REGISTRY_SERVICE_PORT", "REGISTRY_SERVICE_PORT_HTTP", "REGISTRY_PORT", "REGISTRY_PORT_80_TCP",
		"REGISTRY_PORT_80_TCP_PROTO", "REGISTRY_PORT_80_TCP_PORT", "REGISTRY_PORT_80_TCP_ADDR", "REGISTRY_PORT_53_UDP", "REGISTRY_PORT_9_SCTP_ADDR",
		"REGISTRY_API_SERVICE_HOST", "REGISTRY_API_PORT", "REGISTRY_API_PORT_443_TCP_ADDR", "REGISTRY_STREAM_PORT", "REGISTRY_DEAD_LETTER_PORT",
		"REGISTRY_URL", "REGISTRY_OF_SOMEBODY_ELSE", "REGISTRY_", "REGISTRY_X",
	} {
		require.Empty(t, misspelt([]string{name + "=tcp://10.0.0.1:80"}), name)
	}
	for _, s := range config.Settings() {
		require.NotRegexp(t, ofOthers, s.Env, "a Service would set it")
		if s.Env != "" {
			require.Empty(t, misspelt([]string{s.Env + "=x"}))
		}
	}
}

func TestAMisspeltVariableIsToldWithTheOneThatWasMeant(t *testing.T) {
	for name, want := range map[string]string{
		"REGISTRY_DRAIN_TIMOUT": `did you mean "REGISTRY_DRAIN_TIMEOUT"?`,
		"REGISTRY_API_TOKENS":   `did you mean "REGISTRY_API_TOKEN"?`,
		"REGISTRY_LOGLEVEL":     `did you mean "REGISTRY_LOG_LEVEL"?`,
		"REGISTRY_PROYECT":      `did you mean "GOOGLE_CLOUD_PROJECT"?`,
		"REGISTRY_PROJECT":      "it is GOOGLE_CLOUD_PROJECT",
		"REGISTRY_DATABASE":     "it is FIRESTORE_DATABASE",
		"REGISTRY_YES":          "has no effect: give --yes",
		"FIRESTORE_DATABSE":     `did you mean "FIRESTORE_DATABASE"?`,
		"FIRESTORE_DATABASE_ID": `did you mean "FIRESTORE_DATABASE"?`,
		"GOOGLE_CLOUD_PROJET":   `did you mean "GOOGLE_CLOUD_PROJECT"?`,
		"REGISTRY_LINGER":       "has no effect: a batch waits",
		"REGISTRY_BATCH_SIZE":   "has no effect: batches have",
	} {
		warnings := misspelt([]string{name + "=1"})
		require.Len(t, warnings, 1, name)
		require.Contains(t, warnings[0], want)
	}
}

func TestAVariableOfAnotherProgramIsNoneOfOurs(t *testing.T) {
	for _, environ := range [][]string{
		{"GOOGLE_CLOUD_REGION=eu"}, {"GOOGLE_CLOUD_QUOTA_PROJECT=p"}, {"FIRESTORE_EMULATOR_HOST=localhost:1"}, {"RATE_LIMIT=5"},
		{"GOOGLE_CLOUD_PROJECT_ID=p", "GOOGLE_CLOUD_PROJECT=p"},
	} {
		require.Empty(t, misspelt(environ), environ)
	}
}

func TestARetiredFlagIsAcceptedAndHasNoEffect(t *testing.T) {
	r := call(t, nil, "run", "--linger", "20ms", "--batch-size=7", "--no-such-flag")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "unknown flag --no-such-flag")
	r = call(t, map[string]string{"GOOGLE_CLOUD_PROJECT": "p-1"}, "run", "--linger", "20ms", "--registry-backend", "memory")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "--linger has no effect: a batch waits")
	require.NotContains(t, r.stderr, "batch-size")
	require.NotContains(t, call(t, nil, "help", "run").stdout, "linger")
	require.Contains(t, call(t, nil, "publish", "--linger", "1ms", "-").stderr, "unknown flag --linger", "it was never one of publish")
}

func TestNoVariableAnswersAQuestion(t *testing.T) {
	for name := range map[string]bool{"yes": true} {
		c, err := config.Load(config.Input{LookupEnv: func(string) (string, bool) { return "true", true }}, []config.Group{config.ConfirmGroup})
		require.NoError(t, err)
		require.False(t, c.Yes, name)
	}
	r := call(t, map[string]string{"REGISTRY_YES": "1", "GOOGLE_CLOUD_PROJECT": "p-1"}, "moves", "retract", "m")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "warning: REGISTRY_YES has no effect: give --yes")
	require.Contains(t, r.stderr, "standard input is no terminal")
	require.NotContains(t, strings.Join(misspelt(nil), ""), "YES")
}
