package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// requireMissing runs commands that need a backend, side by side, and requires
// that each ends with 1 within 10 s, and says every one of the texts.
func requireMissing(t *testing.T, commands, env []string, says func(command string) []string) {
	t.Helper()
	binary := emulatortest.Binary(t)
	base := []string{"GOOGLE_CLOUD_PROJECT=some-project", "GOOGLE_APPLICATION_CREDENTIALS=", "HOME=" + t.TempDir(),
		"FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST=", "CLOUDSDK_CONFIG=" + t.TempDir(), "REGISTRY_LISTEN=127.0.0.1:0"}
	processes := map[string]*emulatortest.Process{}
	for _, name := range commands {
		args := strings.Fields(name)
		processes[name] = emulatortest.Run(t, append(base, env...), binary, args...)
	}
	for name, p := range processes {
		require.Equal(t, exitFault, p.Wait(10*time.Second), name)
		require.Empty(t, p.Stdout.String(), name)
		for _, text := range says(name) {
			require.Contains(t, p.Stderr.String(), text, name)
		}
	}
}

// needing are the commands that need a backend.
var needing = []string{
	"run", "serve", "export", "replay --yes -", "inspect thread th_1", "check t_a thread th_1", "moves list", "moves plan --from t_a --to t_b", "moves retract m1 --yes", "moves resume m1", "moves start --yes --from t_a --to t_b", "moves verify m1",
	"quota show t_a stream_connect", "quota reset --yes t_a stream_connect",
	"publish -", "provision", "replay --since 1h --yes", "dead-letters list", "dead-letters count", "dead-letters redrive --yes", "dead-letters purge --yes",
}

const firestoreTarget = "firestore project some-project, database (default)"

// opened is the backend that a command opens first.
func opened(command string) string {
	for _, one := range []string{"publish", "provision", "dead-letters"} {
		if strings.HasPrefix(command, one) {
			return "pub/sub project some-project"
		}
	}
	return firestoreTarget
}

// asked is the backend that a command asks first. Those that do away with dead
// letters note in Firestore who does it before they take the first.
func asked(command string) string {
	if strings.HasPrefix(command, "dead-letters redrive") || strings.HasPrefix(command, "dead-letters purge") {
		return firestoreTarget
	}
	return opened(command)
}

func TestWithoutCredentialsTheStartFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	requireMissing(t, needing, nil, func(command string) []string {
		return []string{opened(command), "no credentials", "GOOGLE_APPLICATION_CREDENTIALS", "EMULATOR_HOST"}
	})
}

func TestWithoutNetworkTheStartFailsAndNamesTheService(t *testing.T) {
	t.Parallel()
	env := []string{
		"GOOGLE_APPLICATION_CREDENTIALS=" + serviceAccount(t),
		"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=", // the only way out is closed
	}
	requireMissing(t, needing, env, func(command string) []string {
		host := "firestore.googleapis.com"
		if strings.HasPrefix(asked(command), "pub/sub") {
			host = "pubsub.googleapis.com"
		}
		return []string{asked(command), host + " does not answer"}
	})
}

func TestWithoutItsEmulatorTheStartFailsAndNamesTheAddress(t *testing.T) {
	t.Parallel()
	env := []string{"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "PUBSUB_EMULATOR_HOST=127.0.0.1:1"}
	requireMissing(t, needing, env, func(command string) []string {
		return []string{asked(command), "the emulator at 127.0.0.1:1", "does not answer"}
	})
}

func TestAnEmulatorThatAcceptsAndIsSilentFailsTheStartInTime(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	env := []string{"FIRESTORE_EMULATOR_HOST=" + silent.Addr().String(), "PUBSUB_EMULATOR_HOST=" + silent.Addr().String()}
	requireMissing(t, []string{"serve", "publish -"}, env, func(command string) []string { // one of each backend: they take their time
		return []string{asked(command), silent.Addr().String(), "does not answer"}
	})
}

func TestWithoutPubSubTheWorkerDoesNotStartThoughFirestoreAnswers(t *testing.T) {
	t.Parallel()
	project := emulatortest.Firestore(t)
	env := append(project.Environ(), "PUBSUB_EMULATOR_HOST=127.0.0.1:1")
	p := emulatortest.Run(t, env, emulatortest.Binary(t), "run", "--listen", "127.0.0.1:0")
	require.Equal(t, exitFault, p.Wait(10*time.Second))
	require.Contains(t, p.Stderr.String(), "pub/sub project "+project.ID)
	require.Contains(t, p.Stderr.String(), "the emulator at 127.0.0.1:1")
}

func TestPublishNeedsTheTopicsOfItsEventsAlone(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	_, err = client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: client.Publisher("nexus-thread-created").String()})
	require.NoError(t, err)
	thread := created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1")
	require.Contains(t, c.run(exitDone, "publish", write(t, thread)).Stderr.String(), "1 event published")
	stopped := c.run(exitFault, "publish", write(t, thread, tenantMoved("2", "2024-01-01T00:00:00Z", "t_ada", "t_bob"), thread)).Stderr.String()
	require.Contains(t, stopped, "1 event published")
	require.Contains(t, stopped, "events.ndjson:2: project "+c.project.ID+" has no topic projects/"+c.project.ID+"/topics/nexus-tenant-moved")
}

func TestInAnotherProjectTheWorkerNamesWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	project := emulatortest.Both(t)
	p := emulatortest.Run(t, project.Environ(), emulatortest.Binary(t), "run", "--listen", "127.0.0.1:0")
	require.Equal(t, exitFault, p.Wait(10*time.Second))
	for _, name := range []string{
		"subscription projects/" + project.ID + "/subscriptions/nexus-thread-created.realtime-registry does not exist",
		"subscription projects/" + project.ID + "/subscriptions/nexus-tenant-moved.realtime-registry does not exist",
		"dead-letter topic projects/" + project.ID + "/topics/realtime-registry-dead-letters does not exist",
		"registry-worker provision",
	} {
		require.Contains(t, p.Stderr.String(), name)
	}
}

func TestTheWorkerDoesNotStartWhereDeadLettersAreKeptByNobody(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.deleteSubscription("realtime-registry-dead-letters")
	r := c.run(exitFault, "run", "--listen", "127.0.0.1:0")
	require.Contains(t, r.Stderr.String(), "what is refused would be lost: `registry-worker provision` creates it")
}

func TestInAnotherProjectPublishNamesTheTopics(t *testing.T) {
	t.Parallel()
	project := emulatortest.PubSub(t)
	p := emulatortest.Run(t, project.Environ(), emulatortest.Binary(t), "publish", "-")
	require.Equal(t, exitFault, p.Wait(10*time.Second))
	require.Contains(t, p.Stderr.String(), "has no topic projects/"+project.ID+"/topics/nexus-thread-created")
	require.Contains(t, p.Stderr.String(), "registry-worker provision")
}

func TestAnAddressInUseFailsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	r := call(t, nil, "serve", "--project", "some-project", "--listen", taken.Addr().String())
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, "--listen")
	require.Contains(t, r.stderr, taken.Addr().String()+": bind: address already in use")
}

// serviceAccount writes a key that is well formed and nobody's.
func serviceAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	content, err := json.Marshal(map[string]string{
		"type":           "service_account",
		"project_id":     "some-project",
		"private_key_id": "1",
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":   "nobody@some-project.iam.gserviceaccount.com",
		"client_id":      "1",
		"token_uri":      "https://oauth2.googleapis.com/token",
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

func TestDevAtAnEmulatorThatHasGoneSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"both":     {"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "PUBSUB_EMULATOR_HOST=127.0.0.1:1"},
		"with URL": {"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "PUBSUB_EMULATOR_HOST=http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := emulatortest.Run(t, env, emulatortest.Binary(t), "dev", "--listen", "127.0.0.1:0")
			require.Equal(t, exitFault, p.Wait(10*time.Second))
			require.Contains(t, p.Stderr.String(), "which PUBSUB_EMULATOR_HOST names")
			require.Contains(t, p.Stderr.String(), "type: unset FIRESTORE_EMULATOR_HOST PUBSUB_EMULATOR_HOST")
		})
	}
}
