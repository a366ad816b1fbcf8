package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

const asAnn = "\nX-Tenant-Id: t_ann"

func TestHostileInputGetsItsClearError(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		request string
		status  int
		says    string
	}{
		// Ids: decoded once, matched whole, never cleaned or redirected.
		{"GET /v1/threads/th_1/access" + asAnn, 204, ""},
		{"GET /v1/threads/%74h_1/access" + asAnn, 204, ""},
		{"GET http://127.0.0.1/v1/threads/th_1/access" + asAnn, 204, ""},
		{"GET http://elsewhere/v1/threads/th_1/access" + asAnn, 421, "asked as localhost"},
		{"GET /v1/threads/th_1/access?id=other#x" + asAnn, 204, ""},
		{"GET /v1/threads/a.~:@+=-Z/access" + asAnn, 404, "no such resource"},
		{"GET /v1/threads/" + long + "/access" + asAnn, 404, "no such resource"},
		{"GET /v1/threads/" + long + "a/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads//access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/../access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/./access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%2e%2e/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th%2F1/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%2Faccess/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%00/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/th_1%0A/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%2574h_1/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%C3%A9/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%ff%fe/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/_x/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/a;b/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/a*b/access" + asAnn, 400, "does not match"},
		{"GET /v1/threads/%zz/access" + asAnn, 400, ""}, // net/http's own answer
		{"PUT /v1/threads/.." + asAnn, 400, "does not match"},
		{"PUT /v1/canvases/" + asAnn, 400, "does not match"},

		// Tenants: exactly one.
		{"GET /v1/threads/th_1/access", 400, "occurs 0 times"},
		{"GET /v1/threads/th_1/access" + asAnn + asAnn, 400, "occurs 2 times"},
		{"GET /v1/threads/th_1/access" + asAnn + "\nx-tenant-id: t_bob", 400, "occurs 2 times"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann, t_ann", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id:", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: T_ANN", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann/../t_bob", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_é", 400, "does not match"},
		{"GET /v1/threads/th_1/access\nX-Tenant-Id: t_" + long, 400, "does not match"},
		{"PUT /v1/threads/th_2", 400, "occurs 0 times"},

		// Paths that are none of ours. A trailing slash is one more segment.
		{"GET /v1/threads/th_1/access/" + asAnn, 404, "no such endpoint"},
		{"GET //v1/threads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/threads/a/b/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/threads/x/../th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /V1/threads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1%2Fthreads/th_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /v1/media/m_1/access" + asAnn, 404, "no such endpoint"},
		{"GET /", 404, "no such endpoint"},
		{"OPTIONS *", 404, "no such endpoint"},
		{"POST /v1/quota/connect/take" + asAnn, 404, "no such endpoint"}, // none was given

		// Methods.
		{"POST /v1/threads/th_1/access" + asAnn + "\nContent-Length: 0", 405, "takes GET, HEAD"},
		{"DELETE /v1/threads/th_1" + asAnn, 405, "takes PUT"},
		{"GET /v1/threads/th_1" + asAnn, 405, "takes PUT"},
		{"OPTIONS /v1/threads/th_1/access" + asAnn, 405, "takes GET, HEAD"},
		{"BREW /livez", 405, "takes GET, HEAD"},

		// Bodies: none is needed.
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 2\n\n{}", 201, ""},
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 11534336\n\n" + strings.Repeat("x", 11<<20), 413, "this request needs no body"},
		{"GET /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5000\n\n" + strings.Repeat("x", 5000), 413, "this request needs no body"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\n" + chunked(11<<20), 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\n" + chunked(100), 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 411, "Transfer-Encoding"},
		{"GET /livez\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 411, "Transfer-Encoding"},
		{"PUT /v1/threads/th_2" + asAnn + "\nTransfer-Encoding: chunked\n\nzz\r\n", 411, "Transfer-Encoding"},

		// A body that was announced and does not come.
		{"GET /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5", 204, ""},
		{"HEAD /v1/threads/th_1/access" + asAnn + "\nContent-Length: 5", 204, ""},

		// Headers.
		{"GET /livez\nX-Large: " + strings.Repeat("x", 64<<10), 431, ""}, // net/http's own answer
	} {
		a := s.ask(t, c.request)
		about := fmt.Sprintf("%.150q", c.request)
		require.Equal(t, c.status, a.StatusCode, about)
		require.Contains(t, a.body, c.says, about)
		require.Empty(t, a.Header.Get("Location"), about)
		if c.says != "" {
			require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), about)
		}
		if c.says != "" || a.StatusCode < 300 {
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), about)
		}
		if c.status == 405 {
			require.Equal(t, strings.TrimPrefix(c.says, "takes "), a.Header.Get("Allow"), about)
		}
	}
}

// chunked is a body of so many bytes in chunks of 64 KiB.
func chunked(size int) string {
	var b strings.Builder
	for size > 0 {
		n := min(size, 64<<10)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
		size -= n
	}
	return b.String() + "0\r\n\r\n"
}
