package streampath_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/streampath"
	"github.com/northstar-engines/realtime-registry/registry"
)

func defaults(t testing.TB) streampath.Patterns {
	t.Helper()
	p, err := streampath.Parse(streampath.Defaults)
	require.NoError(t, err)
	return p
}

func TestWhatAPathStreams(t *testing.T) {
	p := defaults(t)
	for target, want := range map[string]registry.Resource{
		"/sse/chat/th_1":               {Kind: registry.Thread, ID: "th_1"},
		"/ws/chat/th_1?token=/../x":    {Kind: registry.Thread, ID: "th_1"},
		"/sse/canvas/cv_1?":            {Kind: registry.Canvas, ID: "cv_1"},
		"/sse/chat/th%5F1":             {Kind: registry.Thread, ID: "th_1"}, // decoded once
		"/sse/chat/%74h_1":             {Kind: registry.Thread, ID: "th_1"},
		"/sse/chat/a.~:@+=-Z":          {Kind: registry.Thread, ID: "a.~:@+=-Z"},
		"/sse/chat/a%2B%3a":            {Kind: registry.Thread, ID: "a+:"},
		"/sse/chat/th_1?x=%2F&y=..%5c": {Kind: registry.Thread, ID: "th_1"},
	} {
		got, err := p.Find(target)
		require.NoError(t, err, target)
		require.Equal(t, want, got, target)
	}
}

func TestWhatReadersCouldDifferAboutIsNoStream(t *testing.T) {
	p := defaults(t)
	for target, why := range map[string]string{
		"":                              "not absolute",
		"sse/chat/th_1":                 "not absolute",
		"http://x/sse/chat/th_1":        "not absolute",
		"?/sse/chat/th_1":               "not absolute",
		"*":                             "not absolute",
		"/":                             "empty segment",
		"//sse/chat/th_1":               "empty segment",
		"/sse//chat/th_1":               "empty segment",
		"/sse/chat//th_1":               "empty segment",
		"/sse/chat/th_1/":               "empty segment",
		"/sse/chat/":                    "empty segment",
		"/sse/chat/a%2Fb":               "encoded /",
		"/sse/chat/a%2fb":               "encoded /",
		"/sse%2Fchat/th_1":              "encoded /",
		"/sse/chat/a%5Cb":               `encoded \`,
		"/sse/chat/a%5cb":               `encoded \`,
		`/sse/chat/a\b`:                 `character \`,
		`/sse\chat\th_1`:                `character \`,
		"/sse/chat/%2e%2e/th_1":         "encoded .",
		"/sse/chat/a%2Eb":               "encoded .",
		"/sse/chat/th_1%252F":           "encoded %",
		"/sse/chat/%2574h_1":            "encoded %",
		"/sse/chat/../chat/th_1":        "dot segment",
		"/sse/chat/./th_1":              "dot segment",
		"/sse/chat/..":                  "dot segment",
		"/../sse/chat/th_1":             "dot segment",
		"/sse/chat/th_1/..":             "dot segment",
		"/sse/chat/th_1#x":              "character #",
		"/sse/chat/th 1":                "must be encoded",
		"/sse/chat/th_1\n":              "must be encoded",
		"/sse/chat/th_1?a b":            "must be encoded",
		"/sse/chat/th_1?\x12":           "must be encoded",
		"/sse/chat/th_1?x#y":            "must be encoded",
		"/sse/chat/é":                   "must be encoded",
		"/sse/chat/th_1%":               "encodes nothing",
		"/sse/chat/th_1%4":              "encodes nothing",
		"/sse/chat/th_1%zz":             "encodes nothing",
		"/sse/chat/th_1%u0041":          "encodes nothing",
		"/sse/chat/th_1%0A":             "does not match",
		"/sse/chat/th_1%00":             "does not match",
		"/sse/chat/th_1%3Fx":            "does not match",
		"/sse/chat/th_1%20":             "does not match",
		"/sse/chat/%C3%A9":              "does not match",
		"/sse/chat/th_1;x=1":            "does not match",
		"/sse/chat/_x":                  "does not match",
		"/sse/ch%61t/th_1":              "no pattern", // the transport would serve it as /sse/chat
		"/SSE/chat/th_1":                "no pattern",
		"/sse/chat/th_1/more":           "no pattern",
		"/sse/chat":                     "no pattern",
		"/ws/canvas/cv_1":               "no pattern",
		"/admin":                        "no pattern",
		"/sse/chat/{thread_id}":         "does not match",
		"/sse/canvas/th_1%2f..%2fchat2": "encoded /",
	} {
		_, err := p.Find(target)
		require.ErrorContains(t, err, why, "%q", target)
	}
}

// Whatever is found in a path is what a Go server, which cleans and decodes in its
// own way, serves it as.
func FuzzWhatIsCheckedIsWhatIsServed(f *testing.F) {
	for _, target := range []string{"/sse/chat/th_1", "/sse/chat/a%2Fb", "//sse/chat/th_1", "/sse/chat/%2e%2e/x", "/sse/canvas/th%5F1?x", "/sse/chat/../chat/b", "/ws/chat/a%00"} {
		f.Add(target)
	}
	p := defaults(f)
	var served registry.Resource
	mux := http.NewServeMux()
	for pattern, kind := range map[string]registry.Kind{"/sse/chat/{id}": registry.Thread, "/ws/chat/{id}": registry.Thread, "/sse/canvas/{id}": registry.Canvas} {
		mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
			served = registry.Resource{Kind: kind, ID: r.PathValue("id")}
		})
	}
	f.Fuzz(func(t *testing.T, target string) {
		found, err := p.Find(target)
		if err != nil {
			return
		}
		served = registry.Resource{}
		r, err := http.NewRequest(http.MethodGet, "http://x"+target, nil)
		require.NoError(t, err, "%q is taken, and no server would read it", target)
		mux.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, found, served, "%q", target)
	})
}

func TestAPatternIsOneThatCanBeMeant(t *testing.T) {
	for text, why := range map[string]string{
		"":                             "absolute path",
		"sse/{thread_id}":              "absolute path",
		"/":                            "segment",
		"/sse":                         "want a segment {thread_id} or {canvas_id}",
		"/sse/{thread_id}/{thread_id}": "once",
		"/sse/{thread_id}/{canvas_id}": "once",
		"/sse/{id}":                    `segment "{id}"`,
		"/sse/x{thread_id}":            "segment",
		"/sse//{thread_id}":            `segment ""`,
		"/sse/{thread_id}/":            `segment ""`,
		"/sse/../{thread_id}":          `segment ".."`,
		"/s%2Fe/{thread_id}":           "segment",
		"/sse/*/{thread_id}":           "segment",
	} {
		_, err := streampath.Parse([]string{text})
		require.ErrorContains(t, err, why, text)
	}
	_, err := streampath.Parse(nil)
	require.ErrorContains(t, err, "at least one")
	_, err = streampath.Parse([]string{"/a/{thread_id}", "/b/{thread_id}", "/a/{canvas_id}"})
	require.ErrorContains(t, err, `"/a/{thread_id}" and "/a/{canvas_id}": a path could match both`)
	_, err = streampath.Parse([]string{"/a/{thread_id}/x", "/a/b/{canvas_id}"})
	require.ErrorContains(t, err, "could match both")
	_, err = streampath.Parse([]string{"/threads/{thread_id}/events", "/canvases/{canvas_id}/events", "/v1.2/{thread_id}"})
	require.NoError(t, err)
}
