package examples

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// question matches a command of the documentation that asks the API, and what the
// page says it prints.
var question = regexp.MustCompile("(?m)^(?:\\$ )?(curl (?:[^'\n]|'[^']*')*)\n((?:[^`].*\n|\n)*)```")

// number matches what differs from answer to answer.
var number = regexp.MustCompile(`("(?:at|age)_ms":|[;"][rt]=)\d+`)

// What the pages say to type is typed, word by word, at a registry that runs.
func TestTheQuestionsOfTheDocumentationAreAnsweredAsItSays(t *testing.T) {
	t.Parallel()
	curl := emulatortest.Program(t, "curl")
	i := install(t)
	require.Equal(t, http.StatusCreated, i.ask(http.MethodPut, "t_acme", "/v1/threads/th_1"))
	asked := 0
	for page, prints := range map[string]string{
		"verifier.md": "", "throttle.md": "", "proxies.md": "HTTP/1.1 200 OK\n",
	} {
		text, err := os.ReadFile("../" + page)
		require.NoError(t, err)
		for _, m := range question.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "http://127.0.0.1:8080/v1") {
				continue
			}
			asked++
			command := strings.ReplaceAll(strings.Replace(m[1], "curl", curl+" -sS --max-time 3", 1), "http://127.0.0.1:8080", i.url)
			p := emulatortest.Run(t, i.env, "sh", "-c", command)
			p.Wait(soon) // a watch goes on until it is cut off
			got := plain(p.Stdout.String())
			for _, line := range strings.Split(strings.TrimSuffix(prints+m[2], "\n"), "\n") {
				if strings.Contains(line, `"resources"`) {
					continue // the page's tenant loses the thread
				}
				require.Contains(t, got, plain(line), "%s: %s\n%s%s", page, m[1], p.Stdout, p.Stderr)
			}
		}
	}
	require.Equal(t, 4, asked)
}

// plain takes away what an answer may say otherwise, and the case of header fields.
func plain(text string) string {
	text = strings.ToLower(text)
	text = number.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "$1 N")
	return strings.ReplaceAll(text, "event: lost", "")
}
