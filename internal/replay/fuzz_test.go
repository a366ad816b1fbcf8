package replay_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// Whatever a checkpoint's file holds, a replay from it applies every line that it does
// not rightly name as applied, or says that it cannot.
func FuzzCheckpoints(f *testing.F) {
	f.Add([]byte(`{"target":"here","files":["a"],"options":"none","position":{"file":"a","line":1},"digest":"x","counts":null}`))
	f.Add([]byte(`{"target":"here","files":["a"],"options":"none","position":{"file":"a","line":-1},"digest":"x","counts":{"x":{"applied":-5}}}`))
	f.Add([]byte(`{"target":"here"}`))
	f.Add([]byte(`{`))
	f.Add([]byte(``))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		name := filepath.Join(dir, "events.ndjson")
		var lines []byte
		for i := range 3 {
			line, err := created(i+1, "t_a").MarshalJSON()
			require.NoError(t, err)
			lines = append(append(lines, line...), '\n')
		}
		require.NoError(t, os.WriteFile(name, lines, 0o600))
		file := filepath.Join(dir, "checkpoint")
		require.NoError(t, os.WriteFile(file, content, 0o600))
		// The fuzzer does not have to guess the file's name.
		var said struct{ Position replay.Position }
		if json.Unmarshal(content, &said) == nil && said.Position.File == "a" {
			said.Position.File = name
		}
		_, from, err := replay.OpenFile(file, replay.Subject{Target: "here", Files: []string{"a"}, Options: "none"})
		if err != nil {
			require.ErrorContains(t, err, file)
			return
		}
		if from.Position.File == "a" {
			from.Position = said.Position
		}
		store := memregistry.New()
		reader, err := archive.Open([]string{name}, nil)
		require.NoError(t, err)
		_, err = replay.Run(t.Context(), store, reader, replay.Options{Rate: governor.Unlimited, RetryFor: time.Second, Resume: from})
		if err != nil {
			return
		}
		n, err := store.Documents(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, n, "lines were skipped that nothing has applied: %+v", from)
	})
}
