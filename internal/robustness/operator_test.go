//go:build proofs

package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// command runs a command of registry-worker to its end, and returns its exit code and
// what it printed.
func (x *installation) command(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	cmd := exec.CommandContext(ctx, x.binary, args...)
	cmd.Env = append(os.Environ(), append(x.project.Environ(), "REGISTRY_LOG_FORMAT=text")...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		x.t.Errorf("%v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// operate does now and then what operators do, until the context ends. A command is
// never broken off.
func (x *installation) operate(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		sleep(ctx, time.Duration(2000+x.world.chance(4000))*time.Millisecond)
		x.operating.Lock()
		x.operateOnce(n)
		x.operating.Unlock()
	}
}

func (x *installation) operateOnce(n int) {
	r := judge.Record{Type: judge.Operator, At: now()}
	x.world.mu.Lock()
	w := x.world
	family := w.random.IntN(families)
	from := w.random.IntN(siblings)
	switch drawn := w.random.IntN(24); {
	case drawn < 6:
		r.Kind, r.Source, r.ID = "start", "//operator", fmt.Sprint("op-", n)
		r.Command = []string{"moves", "start", "--from", tenant(family, from), "--to", tenant(family, from+1), "--id", r.ID, "--yes", "--unknown", "--reason", "robustness"}
	case drawn < 12:
		if len(w.moves) > 0 {
			move := w.moves[w.random.IntN(len(w.moves))]
			r.Kind, r.Source, r.ID = "retract", move.Source, move.ID
			r.Command = []string{"moves", "retract", move.ID, "--source", move.Source, "--yes", "--by", "robustness"}
		}
	case drawn < 17:
		if file := x.archive("replay.ndjson", 20); file != "" {
			r.Kind, r.Command = "replay", []string{"replay", "--yes", "--rate", "unlimited", file}
		}
	case drawn < 18: // seldom, since it has delivered again what a fault may have lost
		r.Kind, r.Command = "rewind", []string{"replay", "--since", x.publisher.unsettledSince().Format(time.RFC3339Nano), "--yes"}
	default:
		r.Kind, r.Command = "redrive", []string{"dead-letters", "redrive", "--limit", "20", "--yes"}
	}
	x.world.mu.Unlock()
	if r.Command == nil {
		return
	}
	x.history.record(judge.Record{Type: judge.Process, At: now(), Of: "operator", Kind: "started", Command: r.Command})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	code, _, stderr := x.command(ctx, r.Command...)
	r.Until, r.Status, r.Detail = now(), code, stderr
	x.history.record(r)
}

// archive writes some of the events that were published into a file, for a replay; ""
// if there are none. The world is locked.
func (x *installation) archive(name string, n int) string {
	past := x.world.past
	if len(past) == 0 {
		return ""
	}
	var text bytes.Buffer
	for range n {
		e := past[x.world.random.IntN(len(past))]
		line, err := json.Marshal(e)
		if err != nil {
			x.t.Errorf("%v", err)
			return ""
		}
		text.Write(append(line, '\n'))
	}
	file := filepath.Join(x.dir, name)
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		x.t.Errorf("%v", err)
		return ""
	}
	return file
}
