package python

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// installed is a registry whose API is a real `serve`, and who writes to it.
type installed struct {
	*testing.T
	writer   *fsregistry.Store
	serve    *emulatortest.Process
	registry string // the API's URL
	versions int

	transport *emulatortest.Process
	url       string // of the transport
}

func newInstalled(t *testing.T, flags ...string) *installed {
	t.Helper()
	project := emulatortest.Firestore(t)
	store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	flags = append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, flags...)
	serve := emulatortest.Run(t, project.Environ(), emulatortest.Binary(t), flags...)
	var line struct{ Address string }
	require.NoError(t, json.Unmarshal([]byte(serve.AwaitLine(`"listening"`, soon)), &line))
	return &installed{T: t, writer: store, serve: serve, registry: "http://" + line.Address}
}

// start runs a transport in Python, which asks the registry at that URL and says where
// it listens.
func (x *installed) start(registry string, args ...string) {
	x.Helper()
	x.transport = emulatortest.Run(x.T, append(environ, "REGISTRY_URL="+registry), emulatortest.Python(x.T, needs), args...)
	x.url = "http://127.0.0.1:" + strings.TrimPrefix(x.transport.AwaitLine("listening ", soon), "listening ")
}

// version is later than those before.
func (x *installed) version() ownership.Version {
	x.versions++
	return ownership.Version{Time: time.Now(), Source: "//test", ID: fmt.Sprint(x.versions)}
}

// apply writes one change, until it is acknowledged.
func (x *installed) apply(c ownership.Change) {
	for x.writer.Apply(x.Context(), []ownership.Change{c})[0].Kind == ownership.Failed {
		require.NoError(x, x.Context().Err())
	}
}
