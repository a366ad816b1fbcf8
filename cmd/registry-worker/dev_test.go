package main

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// shownWithin is generous: two Java programs start first, on a machine that
// tests other things meanwhile.
const shownWithin = 3 * time.Minute

// showing runs dev until it has shown everything.
func showing(t *testing.T, env []string, args ...string) *emulatortest.Process {
	t.Helper()
	p := emulatortest.Run(t, env, emulatortest.Binary(t), append([]string{"dev", "--listen", "127.0.0.1:0"}, args...)...)
	p.AwaitLine("Ctrl-C ends it", shownWithin)
	return p
}

// hidden is the environment of a machine without the emulators.
func hidden(t *testing.T) []string {
	return []string{"CLOUDSDK_ROOT_DIR=" + t.TempDir(), "FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST="}
}

// tried is a request as the page shows it.
type tried struct{ line, status string }

var (
	curlLine   = regexp.MustCompile(`^  (curl .*)$`)
	answerLine = regexp.MustCompile(`^      answers (\d{3}): .+$`)
)

func requests(t *testing.T, p *emulatortest.Process) []tried {
	t.Helper()
	var found []tried
	lines := p.Stdout.Lines()
	for i, line := range lines {
		if m := curlLine.FindStringSubmatch(line); m != nil {
			answer := answerLine.FindStringSubmatch(lines[i+1])
			require.NotNil(t, answer, lines[i+1])
			found = append(found, tried{m[1], answer[1]})
		}
	}
	return found
}

// requireAnswers pastes every request into a shell.
func requireAnswers(t *testing.T, p *emulatortest.Process, env ...string) {
	t.Helper()
	emulatortest.Program(t, "curl")
	for _, r := range requests(t, p) {
		answer := shell(t, r.line+" -sS", env...)
		require.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+r.status+" "), "%s\n%s", r.line, answer)
	}
}

func shell(t *testing.T, line string, env ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", line, out)
	return string(out)
}

// requireOwners compares the page with what the example is meant to show.
func requireOwners(t *testing.T, p *emulatortest.Process) {
	t.Helper()
	for _, row := range []string{
		`thread/th_welcome +t_acme +created by t_acme`,
		`thread/th_roadmap +t_acme +created by t_acme`,
		`thread/th_billing +t_acme +created by t_globex; moved to t_acme`,
		`thread/th_support +t_umbrella +created by t_globex; everything of t_globex moved to t_umbrella`,
		`canvas/cv_floorplan +t_acme +created by t_acme`,
		`canvas/cv_sketch +t_umbrella +created by t_globex; everything of t_globex moved to t_umbrella`,
		`conflict +event ex-07`,
		`tenant_id: t_globex cannot create what t_acme created`,
		`malformed +event ex-10`,
		`time: missing`,
	} {
		require.Regexp(t, `(?m)^  +`+row, p.Stdout.String())
	}
	require.NotContains(t, p.Stdout.String(), "\x1b", "no colours if nobody looks")
	require.NotContains(t, p.Stderr.String(), "level=", "nothing buries the page")
}

func requireDrains(t *testing.T, p *emulatortest.Process) {
	t.Helper()
	p.Signal(os.Interrupt)
	require.Equal(t, exitDone, p.Wait(shownWithin))
	require.Contains(t, p.Stderr.String(), "drained")
}

func TestDevShowsTheExampleAndAnswersAsItSays(t *testing.T) {
	t.Parallel()
	emulatortest.Both(t) // skips if they are not installed
	p := showing(t, []string{"FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST=", "GOOGLE_CLOUD_PROJECT="})
	requireOwners(t, p)
	requireShownByTheReadme(t, p)
	require.Len(t, requests(t, p), 10)
	requireAnswers(t, p)
	pasted := shell(t, toPaste(t, p))
	require.Contains(t, pasted, `{"kind":"canvas","id":"cv_floorplan","tenant_id":"t_acme"}
{"kind":"canvas","id":"cv_sketch","tenant_id":"t_umbrella"}
{"kind":"thread","id":"th_billing","tenant_id":"t_acme"}
{"kind":"thread","id":"th_mine","tenant_id":"t_acme"}
{"kind":"thread","id":"th_roadmap","tenant_id":"t_acme"}
{"kind":"thread","id":"th_support","tenant_id":"t_umbrella"}
{"kind":"thread","id":"th_welcome","tenant_id":"t_acme"}
`)
	require.Contains(t, pasted, "thread/th_support: owned by t_umbrella")
	require.Contains(t, pasted, "2 dead letters")
	requireDrains(t, p)
}

// requireShownByTheReadme requires that the README's output, as far as it goes, is
// that of dev.
func requireShownByTheReadme(t *testing.T, p *emulatortest.Process) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "starting the emulators …\n\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	port := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	require.Contains(t, port.ReplaceAllString(p.Stdout.String(), ""), port.ReplaceAllString(shown, ""))
}

// toPaste is what the page says to type in another terminal.
func toPaste(t *testing.T, p *emulatortest.Process) string {
	t.Helper()
	var lines []string
	for _, line := range p.Stdout.Lines() {
		if line, ok := strings.CutPrefix(line, "    "); ok && !strings.HasPrefix(line, " ") {
			lines = append(lines, line)
		}
	}
	require.NotEmpty(t, lines)
	return strings.Join(lines, "\n")
}

func TestDevWithoutEmulatorsSaysSoAndShowsTheSame(t *testing.T) {
	t.Parallel()
	p := showing(t, hidden(t))
	p.AwaitLine("Going on without them", time.Minute) // the other output: it may be read later
	require.Contains(t, p.Stderr.String(), "not installed")
	require.Contains(t, p.Stderr.String(), "gcloud components install")
	require.NotContains(t, p.Stderr.String(), "starting the emulators")
	requireOwners(t, p)
	require.Len(t, requests(t, p), 10)
	requireAnswers(t, p)
	requireDrains(t, p)
}

func TestDevOnEmulatorsThatRunShowsTheSameAgain(t *testing.T) {
	t.Parallel()
	project := emulatortest.Both(t)
	for range 2 { // the second time every event is a duplicate, or refused again
		p := showing(t, project.Environ())
		requireOwners(t, p)
		requireDrains(t, p)
	}
}

func TestDevPutsTheServicesRulesBeforeTheEmulators(t *testing.T) {
	t.Parallel()
	project := emulatortest.Both(t)
	p := showing(t, project.Environ(), "--service-rules", "--rtt", "20ms")
	requireOwners(t, p)
	host := regexp.MustCompile(`export FIRESTORE_EMULATOR_HOST=(\S+)`).FindStringSubmatch(p.Stdout.String())[1]
	require.NotEqual(t, project.FirestoreHost, host)
	project.FirestoreHost = host
	client, err := firestore.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	began := time.Now()
	_, err = client.Doc("c/d").Set(t.Context(), map[string]any{"a": 1})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
	_, err = client.Collection("realtime_registry").Where("history", "array-contains", "x").Documents(t.Context()).GetAll()
	require.ErrorContains(t, err, "The query requires an index")
	requireDrains(t, p)
}

func TestDevStartsEmptyWhereAsked(t *testing.T) {
	t.Parallel()
	p := showing(t, hidden(t), "--empty")
	require.NotContains(t, p.Stdout.String(), "th_welcome")
	require.Len(t, requests(t, p), 5)
	requireAnswers(t, p)
	unseen := strings.ReplaceAll(requests(t, p)[2].line, "th_mine", "th_welcome")
	require.Contains(t, shell(t, unseen+" -sS"), "HTTP/1.1 404 ", "nothing was published unseen")
	requireDrains(t, p)
}

func TestDevShowsRequestsWithTheTokensThatItDemands(t *testing.T) {
	t.Parallel()
	tokens := []string{"REGISTRY_API_TOKEN=secret-of-checks", "REGISTRY_CLAIM_TOKEN=secret-of-claims"}
	p := showing(t, append(hidden(t), tokens...))
	require.NotContains(t, p.Stdout.String(), "secret-of")
	requireAnswers(t, p, tokens...)
}

func TestDevTellsRefusalsOnceThePageIsShown(t *testing.T) {
	t.Parallel()
	p := showing(t, hidden(t))
	requireAnswers(t, p)
	p.AwaitLine("access refused", time.Minute)
}

func TestAPortThatIsTakenIsToldWithWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	r := call(t, nil, "dev", "--listen", taken.Addr().String())
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, "another program listens there; choose another port with --listen or REGISTRY_LISTEN")
	require.NotContains(t, r.stderr, "starting", "told before anything takes time")
}
