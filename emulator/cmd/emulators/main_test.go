package main_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

const soon = time.Minute

// fresh is an environment in which no emulator runs.
var fresh = []string{"FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST="}

func run(t *testing.T, env []string, args ...string) *emulatortest.Process {
	t.Helper()
	if _, err := emulator.Find(); errors.Is(err, emulator.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	program := filepath.Join(t.TempDir(), "emulators")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return emulatortest.Run(t, env, program, args...)
}

func TestTheCommandFindsTheEmulatorsAndItsExitCodeIsPassedOn(t *testing.T) {
	p := run(t, fresh, "--", "sh", "-c", `echo "$FIRESTORE_EMULATOR_HOST $PUBSUB_EMULATOR_HOST"; exit 7`)
	require.Equal(t, 7, p.Wait(soon))
	require.Regexp(t, `^127.0.0.1:\d+ 127.0.0.1:\d+\n$`, p.Stdout.String())
}

func TestEmulatorsThatRunAlreadyAreUsed(t *testing.T) {
	p := run(t, []string{"FIRESTORE_EMULATOR_HOST=a:1", "PUBSUB_EMULATOR_HOST=b:2"}, "--", "sh", "-c", `echo "$FIRESTORE_EMULATOR_HOST $PUBSUB_EMULATOR_HOST"`)
	require.Equal(t, 0, p.Wait(soon))
	require.Equal(t, "a:1 b:2\n", p.Stdout.String())
}

func TestWithoutACommandTheyRunUntilTheSignal(t *testing.T) {
	p := run(t, fresh)
	require.Contains(t, p.AwaitLine("FIRESTORE", soon), "export FIRESTORE_EMULATOR_HOST=127.0.0.1:")
	require.Contains(t, p.AwaitLine("PUBSUB", soon), "export PUBSUB_EMULATOR_HOST=127.0.0.1:")
	p.Signal(syscall.SIGINT)
	require.Equal(t, 0, p.Wait(soon))
}

func TestASignalIsTheCommandsToHandle(t *testing.T) {
	p := run(t, fresh, "--", "sh", "-c", `trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done`)
	p.AwaitLine("up", soon)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, 5, p.Wait(soon))
	require.Equal(t, "up\nbye\n", p.Stdout.String())
}

func TestWhereTheyAreMissingItSaysWhatToType(t *testing.T) {
	empty := append([]string{"PATH=" + t.TempDir(), "CLOUDSDK_ROOT_DIR=", "JAVA_HOME="}, fresh...)
	p := run(t, empty, "--check")
	require.Equal(t, 3, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "apt-get install")
	require.Empty(t, strings.TrimSpace(p.Stdout.String()))
}

func TestWhereTheyAreMissingAnOptionalPairIsDoneWithout(t *testing.T) {
	empty := append([]string{"PATH=" + t.TempDir(), "CLOUDSDK_ROOT_DIR=", "JAVA_HOME="}, fresh...)
	p := run(t, empty, "--optional", "--", "/bin/sh", "-c", `echo "without:$FIRESTORE_EMULATOR_HOST"; exit 4`)
	require.Equal(t, 4, p.Wait(soon))
	require.Equal(t, "without:\n", p.Stdout.String())
	require.Contains(t, p.Stderr.String(), "apt-get install")
}

func TestACommandThatDoesNotExistIsNamed(t *testing.T) {
	p := run(t, []string{"FIRESTORE_EMULATOR_HOST=a:1", "PUBSUB_EMULATOR_HOST=b:2"}, "--", "no-such-command")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "no-such-command")
}
