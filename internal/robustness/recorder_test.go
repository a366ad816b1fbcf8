//go:build proofs

package robustness

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// now is the time of records.
func now() int64 { return time.Now().UnixNano() }

// recorder writes a history.
type recorder struct {
	t    *testing.T
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
}

func newRecorder(t *testing.T, name string) *recorder {
	file, err := os.Create(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return &recorder{t: t, file: file, out: bufio.NewWriterSize(file, 1<<20)}
}

func (r *recorder) record(records ...judge.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range records {
		line, err := json.Marshal(record)
		if err == nil {
			_, err = r.out.Write(append(line, '\n'))
		}
		if err != nil {
			r.t.Errorf("the history: %v", err)
		}
	}
}

// lines adds lines of an archive or an export.
func (r *recorder) lines(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.WriteString(text); err != nil {
		r.t.Errorf("the history: %v", err)
	}
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NoError(r.t, r.out.Flush())
	require.NoError(r.t, r.file.Close())
}
