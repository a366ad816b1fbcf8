package main

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin/firestoreadmintest"
)

// onService is a command of a registry in Firestore.
func onService(t *testing.T, s *firestoreadmintest.Server) (in *invocation, stdout *bytes.Buffer) {
	stdout = &bytes.Buffer{}
	return &invocation{
		process:      process{Stdout: stdout, Stderr: &bytes.Buffer{}, LookupEnv: func(string) (string, bool) { return "", false }},
		Config:       &config.Config{Project: "p", Database: "(default)", CollectionPrefix: "staging_"},
		adminOptions: s.Start(t),
	}, stdout
}

func TestProvisionSetsUpTheFieldsOfFirestore(t *testing.T) {
	server := &firestoreadmintest.Server{}
	in, stdout := onService(t, server)
	in.Config.DryRun = true
	require.NoError(t, in.provisionFields(t.Context()))
	planned := stdout.String()
	require.Contains(t, planned, "update field staging_realtime_registry.history: no index (has the default: an index in each direction)\n")
	require.Contains(t, planned, "staging_rate_limit_counters.expires_at: no index (has the default: an index in each direction); documents expire at its time\n")
	require.Empty(t, server.Fields)

	stdout.Reset()
	in.Config.DryRun = false
	require.NoError(t, in.provisionFields(t.Context()))
	require.Equal(t, planned, stdout.String(), "it does what the dry run says")

	stdout.Reset()
	require.NoError(t, in.provisionFields(t.Context()))
	require.Equal(t, "keep   indexes and expiry of fields\n", stdout.String())
}

func TestWhoMayNotSetUpFieldsIsGivenTheCommands(t *testing.T) {
	for name, server := range map[string]*firestoreadmintest.Server{
		"may not look":   {MayNotLook: true},
		"may not change": {MayNotChange: true},
	} {
		t.Run(name, func(t *testing.T) {
			in, stdout := onService(t, server)
			require.ErrorContains(t, in.provisionFields(t.Context()), name)
			require.Contains(t, stdout.String(), "gcloud firestore indexes fields update 'history' --collection-group='staging_realtime_registry'")
			require.Contains(t, stdout.String(), "gcloud firestore fields ttls update 'expires_at' --collection-group='staging_realtime_registry_feed'")
		})
	}
}

func TestAServiceWarnsOfFieldsThatAreNotSetUp(t *testing.T) {
	log := make(chan string, 10)
	server := &firestoreadmintest.Server{}
	in, _ := onService(t, server)
	in.Logger = slog.New(slog.NewTextHandler(lineTo(log), nil))
	in.warnOfFields(t.Context())
	select {
	case line := <-log:
		require.Contains(t, line, "fields of Firestore are not set up")
		require.Contains(t, line, "registry-worker provision")
	case <-time.After(time.Minute):
		t.Fatal("no warning")
	}
}

type lineTo chan string

func (l lineTo) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
