package streampath_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/streampath"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Patterns that are taken find the id that stands in their place, of one kind each,
// and nothing in any other path; the others are refused with a reason.
func FuzzPatterns(f *testing.F) {
	f.Add("/sse/chat/{thread_id},/ws/chat/{thread_id},/sse/canvas/{canvas_id}", "th_1")
	f.Add("/{thread_id}", "a.~:@+=-Z")
	f.Add("/a/{thread_id},/{canvas_id}/b", "b")
	f.Add("/a/{thread_id}/x,/a/b/{canvas_id}", "x")
	f.Add("//{thread_id},/./{thread_id},/%2e/{thread_id}", "x")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, list, id string) {
		texts := strings.Split(list, ",")
		patterns, err := streampath.Parse(texts)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		want := registry.Resource{ID: id}
		for _, text := range texts {
			want.Kind = registry.Thread
			if strings.Contains(text, "{canvas_id}") {
				want.Kind = registry.Canvas
			}
			path := strings.NewReplacer("{thread_id}", url.PathEscape(id), "{canvas_id}", url.PathEscape(id)).Replace(text)
			found, err := patterns.Find(path)
			if want.Validate() == nil {
				require.NoError(t, err, path)
				require.Equal(t, want, found, path)
			} else {
				require.Error(t, err, path)
			}
		}
	})
}
