package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// servePGO is the profile by which the program is compiled, seen from its module.
const servePGO = "cmd/registry-worker/serve.pgo"

// profiled is a file that a program under measurement has beside its own: it writes
// a CPU profile of its first seconds.
const profiled = `package main

import (
	"os"
	"runtime/pprof"
	"time"
)

func init() {
	file, err := os.Create(os.Getenv("BENCH_PROFILE"))
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		panic(err)
	}
	long, err := time.ParseDuration(os.Getenv("BENCH_PROFILE_FOR"))
	if err != nil {
		panic(err)
	}
	time.AfterFunc(long, func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			panic(err)
		}
	})
}
`

// serveProfile writes a CPU profile of `registry-worker serve`, as it is compiled
// without one, under the load of the suite serve.
func (b *bench) serveProfile(ctx context.Context) (_ string, err error) {
	program, err := b.buildProfiled(ctx)
	if err != nil {
		return "", err
	}
	s, err := b.checkedStage(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close(context.WithoutCancel(ctx)) }()
	to, err := filepath.Abs(b.options.Profile)
	if err != nil {
		return "", err
	}
	long := time.Duration(b.options.Seconds) * time.Second
	c := contender{name: "serve", command: []string{program, "serve", "--listen", "127.0.0.1:0", "--log-format", "json"}}
	p, err := c.start(s, append(setting{}.environ(s.firestoreHost), "BENCH_PROFILE="+to, "BENCH_PROFILE_FOR="+long.String()))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	took, err := ask(ctx, p.address, checks(p.address), long+time.Second)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("CPU profile of %d checks in %s: go tool pprof -top %s\n", len(took), to, to), nil
}

func (b *bench) buildProfiled(ctx context.Context) (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	source, overlay, program := filepath.Join(b.dir, "profiled.go"), filepath.Join(b.dir, "overlay.json"), filepath.Join(b.dir, "profiled")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "cmd/registry-worker/profiled.go"): source}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(source, []byte(profiled), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	return program, command(ctx, root, "go", "build", "-trimpath", "-overlay", overlay, "-o", program, "./cmd/registry-worker")
}
