package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/internal/fakesdk"
)

const soon = time.Minute

// asCommand makes the test binary the command.
const asCommand = "EMULATORS_TEST_COMMAND"

func TestMain(m *testing.M) {
	fakesdk.Main()
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// fresh is an environment with emulators, none of which runs.
func fresh(t *testing.T) []string {
	_, env := fakesdk.New(t)
	return env
}

// missing is an environment without emulators.
func missing(t *testing.T) []string {
	return []string{"PATH=" + t.TempDir(), "CLOUDSDK_ROOT_DIR=", "JAVA_HOME=", "FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST="}
}

func command(t *testing.T, env []string, args ...string) *emulatortest.Process {
	t.Helper()
	return emulatortest.Run(t, append(env, asCommand+"=1"), os.Args[0], args...)
}

func TestTheCommandFindsTheEmulatorsAndItsExitCodeIsPassedOn(t *testing.T) {
	p := command(t, fresh(t), "--", "sh", "-c", `echo "$FIRESTORE_EMULATOR_HOST $PUBSUB_EMULATOR_HOST"; exit 7`)
	require.Equal(t, 7, p.Wait(soon))
	require.Regexp(t, `^127.0.0.1:\d+ 127.0.0.1:\d+\n$`, p.Stdout.String())
}

func TestEmulatorsThatRunAlreadyAreUsed(t *testing.T) {
	p := command(t, []string{"FIRESTORE_EMULATOR_HOST=a:1", "PUBSUB_EMULATOR_HOST=b:2"}, "--", "sh", "-c", `echo "$FIRESTORE_EMULATOR_HOST $PUBSUB_EMULATOR_HOST"`)
	require.Equal(t, 0, p.Wait(soon))
	require.Equal(t, "a:1 b:2\n", p.Stdout.String())
}

func TestWithoutACommandTheyRunUntilTheSignal(t *testing.T) {
	p := command(t, fresh(t))
	require.Contains(t, p.AwaitLine("FIRESTORE", soon), "export FIRESTORE_EMULATOR_HOST=127.0.0.1:")
	require.Contains(t, p.AwaitLine("PUBSUB", soon), "export PUBSUB_EMULATOR_HOST=127.0.0.1:")
	p.Signal(syscall.SIGINT)
	require.Equal(t, 0, p.Wait(soon))
}

func TestASignalIsTheCommandsToHandle(t *testing.T) {
	p := command(t, fresh(t), "--", "sh", "-c", `trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done`)
	p.AwaitLine("up", soon)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, 5, p.Wait(soon))
	require.Equal(t, "up\nbye\n", p.Stdout.String())
}

func TestWhereTheyAreMissingItSaysWhatToType(t *testing.T) {
	p := command(t, missing(t), "--check")
	require.Equal(t, 3, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "apt-get install")
	require.Empty(t, strings.TrimSpace(p.Stdout.String()))
}

func TestWhereTheyAreMissingAnOptionalPairIsDoneWithout(t *testing.T) {
	p := command(t, missing(t), "--optional", "--", "/bin/sh", "-c", `echo "without:$FIRESTORE_EMULATOR_HOST"; exit 4`)
	require.Equal(t, 4, p.Wait(soon))
	require.Equal(t, "without:\n", p.Stdout.String())
	require.Contains(t, p.Stderr.String(), "apt-get install")
}

func TestACommandThatDoesNotExistIsNamed(t *testing.T) {
	p := command(t, []string{"FIRESTORE_EMULATOR_HOST=a:1", "PUBSUB_EMULATOR_HOST=b:2"}, "--", "no-such-command")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stderr.String(), "no-such-command")
}
