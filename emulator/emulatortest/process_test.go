package emulatortest_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/internal/fakesdk"
)

const soon = time.Minute

func TestMain(m *testing.M) {
	fakesdk.Main()
	os.Exit(m.Run())
}

func TestAProcessTellsItsExitCodeAndItsOutput(t *testing.T) {
	p := emulatortest.Run(t, []string{"GREETING=hello"}, "sh", "-c", `echo "$GREETING $1"; echo oops >&2; exit 3`, "sh", "you")
	require.Equal(t, 3, p.Wait(soon))
	require.Equal(t, "hello you\n", p.Stdout.String())
	require.Equal(t, []string{"oops"}, p.Stderr.Lines())
}

func TestAProcessThatASignalEndedHasTheShellsExitCode(t *testing.T) {
	p := emulatortest.Run(t, nil, "sleep", "1000")
	p.Kill()
	require.Equal(t, 128+int(syscall.SIGKILL), p.Wait(soon))
	p.Signal(syscall.SIGTERM) // of no effect, and no failure
}

func TestALineIsAwaitedOnEitherOutput(t *testing.T) {
	p := emulatortest.Run(t, nil, "sh", "-c", `echo early; sleep 0.05; printf 'half a '; sleep 0.05; echo line >&1; echo problem 7 >&2; sleep 1000`)
	require.Equal(t, "half a line", p.AwaitLine("half", soon), "a line is whole")
	require.Equal(t, "problem 7", p.AwaitLine("problem", soon))
	require.Equal(t, "early", p.AwaitLine("early", soon), "what was printed before counts")
}

func TestTheLastLineNeedsNoEnd(t *testing.T) {
	p := emulatortest.Run(t, nil, "printf", "no newline")
	require.Equal(t, "no newline", p.AwaitLine("newline", soon))
}

func TestAMissingProgramSkipsTheTestButFailsItInCI(t *testing.T) {
	require.FileExists(t, emulatortest.Program(t, "sh"))
	for ci, want := range map[string]string{"": "SKIP", "true": "FAIL"} {
		run := exec.Command(os.Args[0], "-test.v", "-test.run=^TestThatNeedsAProgramNobodyHas$")
		run.Env = append(os.Environ(), needsProgram+"=1", "CI="+ci)
		out, _ := run.CombinedOutput()
		require.Contains(t, string(out), "--- "+want+": TestThatNeedsAProgramNobodyHas", "CI=%s", ci)
		require.Contains(t, string(out), `exec: "program-nobody-has": executable file not found in $PATH`)
	}
}

const needsProgram = "EMULATORTEST_NEEDS_PROGRAM"

func TestThatNeedsAProgramNobodyHas(t *testing.T) {
	if os.Getenv(needsProgram) != "" {
		emulatortest.Program(t, "program-nobody-has")
	}
}

func TestAProcessDoesNotOutliveItsTest(t *testing.T) {
	var p *emulatortest.Process
	t.Run("that forgets it", func(t *testing.T) {
		p = emulatortest.Run(t, nil, "sleep", "1000")
	})
	select {
	case <-p.Done():
	default:
		t.Fatal("it still runs")
	}
}

func TestTheWorkerIsBuiltAndRuns(t *testing.T) {
	binary := emulatortest.Binary(t)
	require.Equal(t, binary, emulatortest.Binary(t))
	p := emulatortest.Run(t, nil, binary, "version")
	require.Equal(t, 0, p.Wait(soon))
}

// The whole point of failing if CI=true is that no proof is lost in silence;
// it takes a process without the emulators to see it.
func TestWithoutTheEmulatorsTestsAreSkippedAndInCITheyFail(t *testing.T) {
	missing := []string{"PATH=" + t.TempDir(), "CLOUDSDK_ROOT_DIR=", "JAVA_HOME=", "FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST="}
	run := func(ci string) *emulatortest.Process {
		return emulatortest.Run(t, append(missing, "CI="+ci), os.Args[0], "-test.v", "-test.run=^TestTestsDoNotSeeEachOthersDocuments$")
	}
	p := run("")
	require.Equal(t, 0, p.Wait(soon))
	require.Contains(t, p.Stdout.String(), "--- SKIP")
	require.Contains(t, p.Stdout.String(), "apt-get install")

	p = run("true")
	require.Equal(t, 1, p.Wait(soon))
	require.Contains(t, p.Stdout.String(), "--- FAIL")
	require.Contains(t, p.Stdout.String(), "apt-get install")
}

// A pair that no variable names is started for the test binary, and is gone when
// the binary is.
func TestThePairEndsWithTheTestBinary(t *testing.T) {
	_, env := fakesdk.New(t)
	p := emulatortest.Run(t, env, os.Args[0], "-test.v", "-test.run=^TestBothAskedForTwiceAreTheSamePair$")
	require.Equal(t, 0, p.Wait(soon))
	for _, prefix := range []string{"firestore=", "pubsub="} {
		line := p.AwaitLine(prefix, soon)
		port := line[strings.LastIndexByte(line, ':')+1:]
		require.Eventually(t, func() bool {
			out, err := exec.Command("ps", "-A", "-o", "stat=,args=").Output()
			require.NoError(t, err)
			return !strings.Contains(string(out), "--port="+port)
		}, soon, 20*time.Millisecond)
	}
}

func TestBothAskedForTwiceAreTheSamePair(t *testing.T) {
	first, second := emulatortest.Both(t), emulatortest.Both(t)
	require.Equal(t, first.FirestoreRules.Target(), second.FirestoreRules.Target())
	require.Equal(t, first.PubSubRules.Target(), second.PubSubRules.Target())
	require.Equal(t, []string{
		"GOOGLE_CLOUD_PROJECT=" + first.ID,
		"FIRESTORE_EMULATOR_HOST=" + first.FirestoreHost,
		"PUBSUB_EMULATOR_HOST=" + first.PubSubHost,
	}, first.Environ())
	t.Log("firestore=" + first.FirestoreRules.Target())
	t.Log("pubsub=" + first.PubSubRules.Target())
}
