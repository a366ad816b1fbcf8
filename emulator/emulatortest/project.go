package emulatortest

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/northstar-engines/realtime-registry/emulator"
)

// Project is one test's own: no other test sees its documents and topics.
type Project struct {
	ID            string
	FirestoreHost string // host:port; empty where the test asked for Pub/Sub only
	PubSubHost    string // host:port; empty where the test asked for Firestore only

	t testing.TB
}

// Firestore returns a project in the Firestore emulator.
func Firestore(t testing.TB) Project {
	t.Helper()
	return Project{ID: projectID(t.Name()), FirestoreHost: firestoreHost(t), t: t}
}

// PubSub returns a project in the Pub/Sub emulator.
func PubSub(t testing.TB) Project {
	t.Helper()
	return Project{ID: projectID(t.Name()), PubSubHost: pubsubHost(t), t: t}
}

// Both returns a project in both emulators.
func Both(t testing.TB) Project {
	t.Helper()
	return Project{ID: projectID(t.Name()), FirestoreHost: firestoreHost(t), PubSubHost: pubsubHost(t), t: t}
}

// FirestoreOptions connect one client to the Firestore emulator, whatever the
// environment says: a connection of its own for each call, closed by the client
// or at the end of the test. The dial options are for package wire.
func (p Project) FirestoreOptions(extra ...grpc.DialOption) []option.ClientOption {
	p.t.Helper()
	return p.connect(p.FirestoreHost, append(extra, grpc.WithPerRPCCredentials(owner{})))
}

// PubSubOptions are FirestoreOptions for the Pub/Sub emulator.
func (p Project) PubSubOptions(extra ...grpc.DialOption) []option.ClientOption {
	p.t.Helper()
	return p.connect(p.PubSubHost, extra)
}

// Environ is the variables by which Google's clients in another process find
// the project, as KEY=value.
func (p Project) Environ() []string {
	env := []string{"GOOGLE_CLOUD_PROJECT=" + p.ID}
	if p.FirestoreHost != "" {
		env = append(env, "FIRESTORE_EMULATOR_HOST="+p.FirestoreHost)
	}
	if p.PubSubHost != "" {
		env = append(env, "PUBSUB_EMULATOR_HOST="+p.PubSubHost)
	}
	return env
}

// connect dials itself: a connection that is handed over wins over the
// environment in all of Google's clients, dial options alone do not.
func (p Project) connect(host string, extra []grpc.DialOption) []option.ClientOption {
	p.t.Helper()
	if host == "" {
		p.t.Fatal("the test did not ask for this emulator")
	}
	conn, err := grpc.NewClient("passthrough:///"+host, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}, extra...)...)
	if err != nil {
		p.t.Fatalf("connect to the emulator on %s: %v", host, err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return []option.ClientOption{option.WithGRPCConn(conn)}
}

// owner is what the Firestore emulator takes for an administrator, who is above
// security rules.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// One pair for the test binary, each started when the first test asks for it.
// The end of the process ends it.
var (
	startFirestore = sync.OnceValues(func() (*emulator.Emulators, error) {
		return emulator.Start(context.Background(), emulator.Options{NoPubSub: true})
	})
	startPubSub = sync.OnceValues(func() (*emulator.Emulators, error) {
		return emulator.Start(context.Background(), emulator.Options{NoFirestore: true})
	})
)

func firestoreHost(t testing.TB) string {
	t.Helper()
	if host := os.Getenv("FIRESTORE_EMULATOR_HOST"); host != "" {
		return host
	}
	return must(t, startFirestore).Firestore.Host
}

func pubsubHost(t testing.TB) string {
	t.Helper()
	if host := os.Getenv("PUBSUB_EMULATOR_HOST"); host != "" {
		return host
	}
	return must(t, startPubSub).PubSub.Host
}

func must(t testing.TB, start func() (*emulator.Emulators, error)) *emulator.Emulators {
	t.Helper()
	emulators, err := start()
	switch {
	case errors.Is(err, emulator.ErrNotInstalled):
		notInstalled(t, err)
	case err != nil:
		t.Fatal(err)
	}
	return emulators
}

// notInstalled skips the test on a developer's machine, and fails it in CI.
func notInstalled(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// projectID makes a project id that is valid in production too
// ([a-z][a-z0-9-]{4,28}[a-z0-9]), that says which test it is of, and that no
// other run of the test has.
func projectID(test string) string {
	const mostName = 20
	name := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, strings.TrimPrefix(test, "Test"))
	name = strings.Trim(name[:min(len(name), mostName)], "-")
	if name == "" || name[0] < 'a' {
		name = "t" + name[:min(len(name), mostName-1)]
	}
	return name + "-" + uuid.NewString()[:8]
}
