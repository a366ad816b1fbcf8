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

	"github.com/northstar-engines/realtime-registry/deploy"
	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
)

// A Project belongs to one test: no other test sees its documents and topics. Every
// access goes through the rules of the services (package rules), whether from the
// test or from a process that it starts.
type Project struct {
	ID            string
	FirestoreHost string // host:port; empty if the test asked for Pub/Sub only
	PubSubHost    string // host:port; empty if the test asked for Firestore only

	// The rules, for tests that change them: the rate of one document,
	// point-in-time recovery, failures, distance. Their meters count what the test
	// is billed.
	FirestoreRules *rules.Firestore
	PubSubRules    *rules.PubSub

	t testing.TB
}

// Firestore returns a project in the Firestore emulator.
func Firestore(t testing.TB) Project {
	t.Helper()
	return FirestoreAt(t, firestoreHost(t))
}

// FirestoreAt is Firestore in an emulator of the test's own (host:port).
func FirestoreAt(t testing.TB, host string) Project {
	t.Helper()
	p := Project{ID: projectID(t.Name()), t: t}
	p.addFirestore(host)
	return p
}

// PubSub returns a project in the Pub/Sub emulator.
func PubSub(t testing.TB) Project {
	t.Helper()
	p := Project{ID: projectID(t.Name()), t: t}
	p.addSharedPubSub()
	return p
}

// Both returns a project in both emulators.
func Both(t testing.TB) Project {
	t.Helper()
	p := Firestore(t)
	p.addSharedPubSub()
	return p
}

// BothAt is Both in emulators of the test's own (host:port).
func BothAt(t testing.TB, firestoreHost, pubsubHost string) Project {
	t.Helper()
	p := FirestoreAt(t, firestoreHost)
	p.addPubSub(pubsubHost)
	return p
}

func (p *Project) addFirestore(host string) {
	p.t.Helper()
	indexes, err := rules.ParseIndexes(deploy.FirestoreIndexes)
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := rules.NewFirestore(host, indexes)
	if err != nil {
		p.t.Fatal(err)
	}
	p.FirestoreRules, p.FirestoreHost = f, f.Addr()
	name := p.t.Name()
	p.t.Cleanup(func() {
		_ = f.Close()
		if err := report(name, f.Report()); err != nil {
			p.t.Error(err)
		}
	})
}

func (p *Project) addSharedPubSub() {
	p.t.Helper()
	host := pubsubHost(p.t)
	t, id := p.t, p.ID
	t.Cleanup(func() {
		if err := deleteSubscriptions(host, id); err != nil {
			t.Logf("subscriptions of %s stay behind: %v", id, err)
		}
	})
	p.addPubSub(host)
}

func (p *Project) addPubSub(host string) {
	p.t.Helper()
	s, err := rules.NewPubSub(host)
	if err != nil {
		p.t.Fatal(err)
	}
	p.PubSubRules, p.PubSubHost = s, s.Addr()
	p.t.Cleanup(func() { _ = s.Close() })
}

// FirestoreOptions returns options that connect one client to the Firestore
// emulator, whatever the environment says. Each call makes a new connection, which
// the client or the end of the test closes. The dial options are for package wire;
// they work between the client and the rules.
func (p Project) FirestoreOptions(extra ...grpc.DialOption) []option.ClientOption {
	p.t.Helper()
	extra = append(extra, grpc.WithPerRPCCredentials(owner{}))
	if f := p.FirestoreRules; f != nil && p.FirestoreHost == f.Addr() {
		return p.connect(f.Target(), append(extra, f.DialOptions()...))
	}
	return p.connect(p.FirestoreHost, extra)
}

// PubSubOptions is FirestoreOptions for the Pub/Sub emulator.
func (p Project) PubSubOptions(extra ...grpc.DialOption) []option.ClientOption {
	p.t.Helper()
	if s := p.PubSubRules; s != nil && p.PubSubHost == s.Addr() {
		return p.connect(s.Target(), append(extra, s.DialOptions()...))
	}
	return p.connect(p.PubSubHost, extra)
}

// Environ returns the variables by which Google's clients in another process find
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

// connect dials by itself. In all of Google's clients a given connection takes
// precedence over the environment; dial options alone do not.
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

// owner is the credential of an administrator for the Firestore emulator, which
// exempts it from security rules.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// One pair for the test binary. Each emulator is started when the first test asks
// for it, and ends with the process.
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
		NotInstalled(t, err)
	case err != nil:
		t.Fatal(err)
	}
	return emulators
}

// NotInstalled ends a test that needs something that is not installed: it skips the
// test on a developer's machine, and fails it in CI (CI=true).
func NotInstalled(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// projectID returns a project id that is also valid in production
// ([a-z][a-z0-9-]{4,28}[a-z0-9]), shows the name of the test, and is different in
// each run.
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
