package emulator_test

import (
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
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/internal/fakesdk"
)

// asOwner makes the test binary an owner of emulators, that another test kills.
const asOwner = "EMULATOR_TEST_OWNER"

func TestMain(m *testing.M) {
	fakesdk.Main()
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
	fmt.Println("own", emulators.Firestore.PID(), emulators.PubSub.PID())
	select {}
}

const soon = time.Minute

// fake is an SDK with fake emulators.
func fake(t *testing.T) emulator.SDK {
	t.Helper()
	root, env := fakesdk.New(t)
	for _, variable := range env {
		key, value, _ := strings.Cut(variable, "=")
		t.Setenv(key, value)
	}
	sdk, err := emulator.Find()
	require.NoError(t, err)
	require.Equal(t, root, sdk.Root)
	return sdk
}

func start(t *testing.T, o emulator.Options) *emulator.Emulators {
	t.Helper()
	emulators, err := emulator.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, emulators.Stop()) })
	return emulators
}

// alive reports whether anything is left of what a launcher started. The dead for
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

// One start of the real emulators shows what only they can show: that their PIDs are
// of the processes that serve, and that the launchers find Java, although they split
// what they are told of it into words, and glob them.
func TestTheOfficialEmulatorsFindJavaInAFolderOfAnyNameAndDoNotOutliveAKilledOwner(t *testing.T) {
	java, err := exec.LookPath("java")
	if _, missing := emulator.Find(); missing != nil || err != nil {
		emulatortest.NotInstalled(t, errors.Join(missing, err))
	}
	home := filepath.Join(t.TempDir(), `my "own" $(false) ; * java's`)
	require.NoError(t, os.MkdirAll(filepath.Join(home, "bin"), 0o755))
	fakesdk.Script(t, filepath.Join(home, "bin", "java"), `exec `+java+` -Dours "$@"`)

	owner := emulatortest.Run(t, []string{asOwner + "=1", "JAVA_HOME=" + home}, os.Args[0])
	var firestore, pubsub int
	_, err = fmt.Sscanf(owner.AwaitLine("own", 2*soon), "own %d %d", &firestore, &pubsub)
	require.NoError(t, err)
	for _, pid := range []int{firestore, pubsub} {
		out, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), java+" -Dours ", "the PID is the process that serves")
	}
	owner.Kill()
	require.Eventually(t, func() bool { return !alive(t, firestore) && !alive(t, pubsub) }, soon, 10*time.Millisecond)
}

func TestEmulatorsEndWithTheirOwnerHoweverItEnds(t *testing.T) {
	fake(t)
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			owner := emulatortest.Run(t, []string{asOwner + "=1"}, os.Args[0])
			var firestore, pubsub int
			_, err := fmt.Sscanf(owner.AwaitLine("own", soon), "own %d %d", &firestore, &pubsub)
			require.NoError(t, err)
			require.True(t, alive(t, firestore) && alive(t, pubsub))
			// One that is stopped cannot see by itself that its owner is gone.
			require.NoError(t, syscall.Kill(firestore, syscall.SIGSTOP))

			owner.Signal(s)
			owner.Wait(soon)
			require.Eventually(t, func() bool { return !alive(t, firestore) && !alive(t, pubsub) }, soon, 10*time.Millisecond)
		})
	}
}

func TestStopEndsWhatWasStartedAndNothingElse(t *testing.T) {
	sdk := fake(t)
	ours := start(t, emulator.Options{SDK: sdk})
	theirs := start(t, emulator.Options{SDK: sdk, NoPubSub: true})
	require.Nil(t, theirs.PubSub)
	require.NotEqual(t, ours.Firestore.Host, theirs.Firestore.Host)

	require.NoError(t, ours.Stop())
	require.False(t, alive(t, ours.Firestore.PID()), "the launcher's child is gone too")
	require.False(t, alive(t, ours.PubSub.PID()))
	<-ours.Firestore.Done()
	require.NoError(t, ours.Stop(), "repeating it is harmless")

	require.True(t, alive(t, theirs.Firestore.PID()))
	conn, err := net.Dial("tcp", theirs.Firestore.Host)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestAPausedEmulatorKeepsItsConnectionsAndStopsAllTheSame(t *testing.T) {
	e := start(t, emulator.Options{SDK: fake(t), NoFirestore: true}).PubSub
	require.NoError(t, e.Pause())
	var open net.Conn
	require.Eventually(t, func() bool {
		open = connect(t, e.Host)
		return errors.Is(answer(open, 50*time.Millisecond), os.ErrDeadlineExceeded)
	}, soon, time.Millisecond, "the kernel still accepts, and nobody answers")

	require.NoError(t, e.Resume())
	require.NoError(t, answer(open, soon))

	require.NoError(t, e.Pause())
	require.NoError(t, e.Stop())
	require.False(t, alive(t, e.PID()))
}

// connect opens a connection as a gRPC client does.
func connect(t *testing.T, host string) net.Conn {
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	require.NoError(t, err)
	return conn
}

// answer waits for the first byte.
func answer(conn net.Conn, within time.Duration) error {
	_ = conn.SetReadDeadline(time.Now().Add(within))
	_, err := conn.Read(make([]byte, 1))
	return err
}

func TestDoneTellsOfAnEmulatorThatSomebodyElseEnded(t *testing.T) {
	e := start(t, emulator.Options{SDK: fake(t), NoPubSub: true}).Firestore
	require.NoError(t, syscall.Kill(e.PID(), syscall.SIGKILL))
	select {
	case <-e.Done():
	case <-time.After(soon):
		t.Fatal("not done")
	}
	require.Error(t, e.Pause())
	require.Eventually(t, func() bool { return !alive(t, e.PID()) }, soon, 10*time.Millisecond, "what the launcher left behind ends too")
}

func TestEnvironNamesTheHosts(t *testing.T) {
	emulators := start(t, emulator.Options{SDK: fake(t)})
	require.Equal(t, []string{
		"FIRESTORE_EMULATOR_HOST=" + emulators.Firestore.Host,
		"PUBSUB_EMULATOR_HOST=" + emulators.PubSub.Host,
	}, emulators.Environ())
}

// scripted is an SDK whose Firestore emulator is the script.
func scripted(t *testing.T, script string) emulator.Options {
	path := filepath.Join(t.TempDir(), "emulator")
	fakesdk.Script(t, path, script)
	return emulator.Options{SDK: emulator.SDK{Firestore: path}, NoPubSub: true}
}

func TestAnEmulatorThatDiesIsReportedAtOnceWithWhatItPrinted(t *testing.T) {
	_, err := emulator.Start(t.Context(), scripted(t, "echo this machine has no luck >&2; exit 3"))
	require.ErrorContains(t, err, "Firestore emulator")
	require.ErrorContains(t, err, "it ended")
	require.ErrorContains(t, err, "this machine has no luck")
}

func TestAnEmulatorThatNeverAnswersIsStoppedInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	o := scripted(t, "sleep 1000 & echo $$ >"+file+"; wait")
	o.StartWithin = time.Second
	_, err := emulator.Start(t.Context(), o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !alive(t, pid) }, 10*time.Second, time.Millisecond, "and so is what it started")
}

func TestStartingCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := emulator.Start(ctx, scripted(t, "exec sleep 1000"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAPortThatWasTakenMeanwhileIsReplaced(t *testing.T) {
	for _, then := range []string{"exit 1", "exec sleep 1000"} { // as Firestore's does, and as Pub/Sub's
		once := filepath.Join(t.TempDir(), "once")
		start(t, scripted(t, fmt.Sprintf("[ -e %[1]s ] && exec %[2]s\ntouch %[1]s; echo Address already in use >&2; %[3]s", once, fakesdk.Launch(`"$@"`), then)))
	}
}

func TestOwnersThatStartAtOnceDoNotCollide(t *testing.T) {
	sdk := fake(t)
	type started struct {
		emulators *emulator.Emulators
		err       error
	}
	all := make(chan started)
	const owners = 8
	for range owners {
		go func() {
			emulators, err := emulator.Start(t.Context(), emulator.Options{SDK: sdk})
			all <- started{emulators, err}
		}()
	}
	hosts := map[string]bool{}
	for range owners {
		s := <-all
		require.NoError(t, s.err)
		defer func() { require.NoError(t, s.emulators.Stop()) }()
		hosts[s.emulators.Firestore.Host], hosts[s.emulators.PubSub.Host] = true, true
	}
	require.Len(t, hosts, 2*owners)
}
