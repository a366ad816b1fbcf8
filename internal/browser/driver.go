package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// patience is what a browser may take to start, on a machine that is busy.
const patience = 2 * time.Minute

// flags make a browser that runs anywhere, as any user, and contacts no other host.
// A container's /dev/shm is small, and root needs no-sandbox.
var flags = []string{
	"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
}

// tab is a session of WebDriver (W3C Recommendation, section 8).
type tab struct{ url string }

// start starts a driver and a browser, which end with the test.
func start(t testing.TB) tab {
	t.Helper()
	chromium := emulatortest.Program(t, "chromium")
	port := freePort(t)
	driver := emulatortest.Run(t, nil, emulatortest.Program(t, "chromedriver"), "--port="+port)
	driver.AwaitLine("started successfully on port ", patience)
	server := tab{"http://127.0.0.1:" + port}
	session, err := server.open(t, chromium)
	for again := 1; err != nil && again <= 2; again++ { // on a busy machine a browser has been seen to exit at its start
		t.Logf("the browser does not start: %v", err)
		session, err = server.open(t, chromium)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := tab{server.url + "/session/" + session}
	t.Cleanup(func() { _ = s.send("DELETE", "", nil, nil) }) // else the browser outlives its driver
	return s
}

// freePort returns a port of 127.0.0.1 that is free. A driver that may take any
// port takes one that is free in IPv6, and ends if that is taken in IPv4.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// open starts a browser with a profile of its own, and returns the session's id.
func (s tab) open(t testing.TB, chromium string) (session string, err error) {
	profile, err := os.MkdirTemp("", "registry-test-browser-")
	if err != nil {
		return "", err
	}
	// Not TempDir: what of the browser still ends may write, which is no failure.
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	flags := append([]string{"--user-data-dir=" + profile}, flags...)
	var made struct{ SessionID string }
	err = s.send("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"binary": chromium, "args": flags},
	}}}, &made)
	return made.SessionID, err
}

// call sends a command, and decodes its value.
func (s tab) call(t testing.TB, method, path string, parameters, value any) {
	t.Helper()
	if err := s.send(method, path, parameters, value); err != nil {
		t.Fatalf("WebDriver: %s %s: %v", method, path, err)
	}
}

func (s tab) send(method, path string, parameters, value any) error {
	var body io.Reader = http.NoBody
	if parameters != nil {
		text, err := json.Marshal(parameters)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(text, &struct{ Value any }{value})
}
