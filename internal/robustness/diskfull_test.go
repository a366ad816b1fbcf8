//go:build proofs

package robustness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// Kinds of full disks: that of an export, with the parts that it would go on with, and
// that of a replay's checkpoint.
const (
	exportFull     = "disk full: export"
	checkpointFull = "disk full: checkpoint of a replay"
)

// fill has an export, and the checkpoint of a replay, written to a disk that is full,
// one after the other, until the context ends: each once at least. Then there is room, and
// the same command, repeated, goes on with what is there.
func (x *installation) fill(ctx context.Context, every time.Duration) {
	disk := filepath.Join(x.dir, "disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		x.t.Errorf("%v", err)
		return
	}
	met := map[string]bool{}
	for n := 0; ctx.Err() == nil || len(met) < 2 && n < 10; n++ {
		sleep(ctx, every)
		kind, command := exportFull, []string{"export", "--output", filepath.Join(disk, "owners.ndjson")}
		if n%2 == 1 {
			x.world.mu.Lock()
			file := x.archive("checkpointed.ndjson", 2_000)
			x.world.mu.Unlock()
			if file == "" {
				continue
			}
			kind, command = checkpointFull, []string{"replay", "--yes", "--rate", "unlimited", "--checkpoint", filepath.Join(disk, "replay.json"), file}
		}
		if x.fillOnce(kind, disk, command) {
			met[kind] = true
		}
	}
}

// filled runs a command on a disk with room for a page beside what fills it, and then
// once more with room enough. It prints both exit codes.
const filled = `mount -t tmpfs -o size=12k tmpfs "$1" || exit 9
head -c 8192 /dev/zero > "$1/full" || exit 9
disk=$1; shift
"$@"; first=$?
rm "$disk/full" && mount -o remount,size=64m "$disk" || exit 9
echo "exit codes: $first"
"$@"; echo "exit codes: $first then $?"`

var exitCodes = regexp.MustCompile(`exit codes: (\d+) then (\d+)`)

func (x *installation) fillOnce(kind, disk string, command []string) (met bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	args := append([]string{"--map-root-user", "--mount", "sh", "-c", filled, "sh", disk, x.binary}, command...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Env = append(os.Environ(), append(x.project.Environ(), "REGISTRY_LOG_FORMAT=text")...)
	r := judge.Record{Type: judge.Fault, At: now(), Of: "operator", Kind: kind, Command: command}
	out, err := cmd.CombinedOutput()
	r.Until, r.Detail = now(), string(out)
	codes := exitCodes.FindStringSubmatch(string(out))
	if codes == nil {
		x.t.Errorf("%v on a full disk: %v: %s", command, err, out)
		return false
	}
	full, after, _ := strings.Cut(string(out), "exit codes: ")
	if !strings.Contains(full, "no space left on device") {
		return false // it ended before, for another reason
	}
	if codes[1] != "1" {
		x.t.Errorf("%v on a full disk ended with %s: %s", command, codes[1], out)
	}
	// Whatever else fails meanwhile may fail it again, but not what the full disk has left.
	if damaged := strings.Contains(after, "damaged") || strings.Contains(after, "checkpoint "); codes[2] != "0" && damaged {
		x.t.Errorf("%v did not go on from what a full disk had left: %s", command, out)
	}
	x.history.record(r)
	return true
}
