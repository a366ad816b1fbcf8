//go:build proofs

package robustness

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/judge"
	"github.com/northstar-engines/realtime-registry/registry"
)

// python runs the client in Python until the context ends, and publishes the events of
// what it claims. It says 503 of requests that had no answer, too, so its records name
// no process whose answers would be held against a bound.
func (x *installation) python(ctx context.Context, seed string) {
	args := []string{"client.py", seed}
	for _, m := range x.serves {
		args = append(args, m.url())
	}
	cmd := exec.Command(emulatortest.Python(x.t, "httpx"), args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "..", "clients", "python", "src"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		x.t.Errorf("python: %v", err)
		return
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		x.t.Errorf("python: %v", err)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = stdin.Close() })()
	x.readPython(stdout)
	if err := cmd.Wait(); err != nil {
		x.t.Errorf("python: %v", err)
	}
}

func (x *installation) readPython(out io.Reader) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r judge.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			x.t.Errorf("python printed %q: %v", lines.Text(), err)
			return
		}
		x.history.record(r)
		if r.Type == judge.Claim && r.Status == 201 {
			_, id, _ := strings.Cut(r.Resource, "/")
			publishing.Go(func() { x.claimed(registry.Resource{Kind: registry.Thread, ID: id}, r.Tenant) })
		}
	}
}
