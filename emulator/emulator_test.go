package emulator_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
)

// asOwner makes the test binary an owner of emulators, that another test kills.
const asOwner = "EMULATOR_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(asOwner) != "" {
		own()
	}
	os.Exit(m.Run())
}

// own starts emulators, prints their processes, and waits for its end.
func own() {
	emulators, err := emulator.Start(context.Background(), emulator.Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(emulators.Firestore.PID(), emulators.PubSub.PID(), emulators.Firestore.Host, emulators.PubSub.Host)
	select {}
}

const soon = 30 * time.Second

func start(t *testing.T, o emulator.Options) *emulator.Emulators {
	t.Helper()
	emulators, err := emulator.Start(t.Context(), o)
	if errors.Is(err, emulator.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, emulators.Stop()) })
	return emulators
}

// alive tells whether anything is left of what a launcher started. The dead for
// whom nobody has waited do not count.
func alive(t *testing.T, group int) bool {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pgid=,stat=").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if fields[0] == strconv.Itoa(group) && fields[1][0] != 'Z' {
			return true
		}
	}
	return false
}

func TestStopEndsWhatWasStartedAndNothingElse(t *testing.T) {
	ours := start(t, emulator.Options{NoPubSub: true})
	theirs := start(t, emulator.Options{NoPubSub: true})
	require.Nil(t, ours.PubSub)
	require.NotEqual(t, ours.Firestore.Host, theirs.Firestore.Host)

	require.NoError(t, ours.Stop())
	require.False(t, alive(t, ours.Firestore.PID()))
	<-ours.Firestore.Done()
	require.NoError(t, ours.Stop(), "repeating it is harmless")

	require.True(t, alive(t, theirs.Firestore.PID()))
	conn, err := net.Dial("tcp", theirs.Firestore.Host)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestEmulatorsDoNotOutliveAKilledOwner(t *testing.T) {
	if _, err := emulator.Find(); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asOwner+"=1")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			var firestore, pubsub int
			line, _ := bufio.NewReader(out).ReadString('\n')
			_, err = fmt.Sscan(line, &firestore, &pubsub)
			require.NoError(t, err, line)
			require.True(t, alive(t, firestore) && alive(t, pubsub))
			// An emulator that does not run cannot see that its owner is gone.
			require.NoError(t, syscall.Kill(firestore, syscall.SIGSTOP))

			require.NoError(t, cmd.Process.Signal(s))
			_ = cmd.Wait()
			require.Eventually(t, func() bool { return !alive(t, firestore) && !alive(t, pubsub) }, soon, 10*time.Millisecond)
		})
	}
}

func TestThePIDIsTheProcessThatServes(t *testing.T) {
	emulators := start(t, emulator.Options{})
	for _, e := range []*emulator.Emulator{emulators.Firestore, emulators.PubSub} {
		out, err := exec.Command("ps", "-o", "args=", "-p", fmt.Sprint(e.PID())).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "java", e.Name)
	}
}

func TestEnvironNamesTheHosts(t *testing.T) {
	emulators := start(t, emulator.Options{NoFirestore: true})
	require.Equal(t, []string{"PUBSUB_EMULATOR_HOST=" + emulators.PubSub.Host}, emulators.Environ())
}

// fakeSDK is an SDK whose Firestore emulator is the script.
func fakeSDK(t *testing.T, script string) emulator.SDK {
	path := filepath.Join(t.TempDir(), "emulator")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	return emulator.SDK{Firestore: path}
}

func TestAnEmulatorThatDiesIsReportedAtOnceWithWhatItPrinted(t *testing.T) {
	sdk := fakeSDK(t, "echo this machine has no luck >&2; exit 3")
	_, err := emulator.Start(t.Context(), emulator.Options{SDK: sdk, NoPubSub: true})
	require.ErrorContains(t, err, "Firestore emulator")
	require.ErrorContains(t, err, "it ended")
	require.ErrorContains(t, err, "this machine has no luck")
}

func TestAnEmulatorThatNeverAnswersIsStoppedInTime(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	sdk := fakeSDK(t, "sleep 1000 & echo $$ >"+pids+"; wait")
	_, err := emulator.Start(t.Context(), emulator.Options{SDK: sdk, NoPubSub: true, StartWithin: 500 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var pid int
	text, err := os.ReadFile(pids)
	require.NoError(t, err)
	_, err = fmt.Sscan(string(text), &pid)
	require.NoError(t, err)
	require.False(t, alive(t, pid), "and so is what it started")
}

func TestAPortThatWasTakenMeanwhileIsReplaced(t *testing.T) {
	real, err := emulator.Find()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	once := filepath.Join(t.TempDir(), "once")
	sdk := fakeSDK(t, "[ -e "+once+" ] && exec "+real.Firestore+" \"$@\"; touch "+once+"; echo Address already in use >&2; exit 1")
	emulators, err := emulator.Start(t.Context(), emulator.Options{SDK: sdk, NoPubSub: true})
	require.NoError(t, err)
	require.NoError(t, emulators.Stop())
}

func TestWithoutTheEmulatorsTheErrorSaysWhatToType(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	t.Setenv("JAVA_HOME", "")
	_, err := emulator.Find()
	require.ErrorIs(t, err, emulator.ErrNotInstalled)
	require.ErrorContains(t, err, "gcloud, java not installed")
	require.ErrorContains(t, err, "apt-get install google-cloud-cli google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator")
	require.ErrorContains(t, err, "gcloud components install cloud-firestore-emulator pubsub-emulator")
}

// sdkAt makes an SDK with the launchers of both emulators.
func sdkAt(t *testing.T, root string) {
	for _, path := range []string{"cloud-firestore-emulator/cloud_firestore_emulator", "pubsub-emulator/bin/cloud-pubsub-emulator"} {
		path = filepath.Join(root, "platform", path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o700))
	}
}

func TestTheSDKIsFoundWhereverItIs(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	script := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
	}
	script(filepath.Join(bin, "java"), "")
	t.Setenv("PATH", bin)
	t.Setenv("CLOUDSDK_ROOT_DIR", "")

	script(filepath.Join(bin, "gcloud"), "echo "+root)
	_, err := emulator.Find()
	require.ErrorContains(t, err, "Firestore emulator, Pub/Sub emulator not installed")

	sdkAt(t, root)
	sdk, err := emulator.Find()
	require.NoError(t, err)
	require.Equal(t, root, sdk.Root, "where gcloud says")

	linked := t.TempDir()
	linked, err = filepath.EvalSymlinks(linked)
	require.NoError(t, err)
	sdkAt(t, linked)
	script(filepath.Join(linked, "bin", "gcloud"), "exit 1")
	require.NoError(t, os.Remove(filepath.Join(bin, "gcloud")))
	require.NoError(t, os.Symlink(filepath.Join(linked, "bin", "gcloud"), filepath.Join(bin, "gcloud")))
	sdk, err = emulator.Find()
	require.NoError(t, err)
	require.Equal(t, linked, sdk.Root, "where the link leads")

	t.Setenv("CLOUDSDK_ROOT_DIR", root)
	sdk, err = emulator.Find()
	require.NoError(t, err)
	require.Equal(t, root, sdk.Root, "the variable wins")
}
