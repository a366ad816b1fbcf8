package console

import (
	"embed"
	"errors"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

//go:embed page
var page embed.FS

// policy lets the page load what is served beside it, and nothing else. With
// trusted types the browser refuses any text as HTML, since the page creates no
// such type (https://www.w3.org/TR/trusted-types/).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// mediaTypes are those of the page's files. The machine's own tables could differ.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

func servePage(w http.ResponseWriter, _ *http.Request) { serveFile(w, "console.html") }

func serveAsset(w http.ResponseWriter, r *http.Request) { serveFile(w, r.PathValue("file")) }

func serveFile(w http.ResponseWriter, name string) {
	text, err := page.ReadFile("page/" + path.Base("/"+name))
	if err != nil {
		problem.New(http.StatusNotFound, "the console has no such file").Write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	_, _ = w.Write(text) // the caller may be gone
}

// patience is how long a page may take to read a sample.
const patience = 10 * time.Second

// serveLive streams samples as server-sent events until the page goes, does not read,
// or the request's context ends. The page reads it by fetch: an EventSource cannot
// send a token.
func (c *Console) serveLive(w http.ResponseWriter, r *http.Request) {
	samples, leave, ok := c.live.join()
	if !ok {
		problem.New(http.StatusServiceUnavailable, "too many consoles are open here: close or pause one").Write(w)
		return
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold back what it could gather
	stream := eventStream{w, http.NewResponseController(w)}
	err := stream.control.SetReadDeadline(time.Time{}) // the request has been read
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return
	}
	err = stream.write(": live\n\n")
	for err == nil {
		select {
		case <-r.Context().Done():
			_ = stream.write("event: closing\ndata: {}\n\n")
			return
		case sample := <-samples:
			err = stream.write("event: sample\ndata: " + string(sample) + "\n\n")
		}
	}
}

type eventStream struct {
	io.Writer
	control *http.ResponseController
}

func (s eventStream) write(text string) error {
	err := s.control.SetWriteDeadline(time.Now().Add(patience))
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		_, err = io.WriteString(s, text)
	}
	if err == nil {
		err = s.control.Flush()
	}
	return err
}
