package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// post sends a body whose length is said.
func (s *served) post(t *testing.T, path, body string) answer {
	t.Helper()
	return s.ask(t, fmt.Sprintf("POST %s\nContent-Length: %d\n\n%s", path, len(body), body))
}

func TestHostileListsGetTheirClearError(t *testing.T) {
	s := watching(t, api.Options{})
	s.own(t, "t_ann", "one")
	const one = `{"tenant_id":"t_ann","kind":"thread","id":"one"}`
	watch := func(items ...string) string { return `{"resources":[` + strings.Join(items, ",") + `]}` }
	many := func(n int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"tenant_id":"t_ann","kind":"thread","id":"th_%d"}`, i)
		}
		return watch(items...)
	}
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		// Not the body that is described.
		{"/v1/watch", ``, 400, "the body is not JSON: unexpected EOF"},
		{"/v1/watch", `{`, 400, "not JSON"},
		{"/v1/watch", `resources`, 400, "not JSON"},
		{"/v1/watch", `null`, 400, "the body is not an object"},
		{"/v1/watch", `[]`, 400, "the body is not an object"},
		{"/v1/watch", `"x"`, 400, "the body is not an object"},
		{"/v1/watch", `{}`, 400, "resources is missing"},
		{"/v1/watch", `{"resources":null}`, 400, "resources is not an array"},
		{"/v1/watch", `{"resources":{}}`, 400, "resources is not an array"},
		{"/v1/watch", `{"resources":"th_1"}`, 400, "resources is not an array"},
		{"/v1/watch", `{"resources":[]}`, 400, "resources is empty"},
		{"/v1/watch", `{"resource":[]}`, 400, `a member \"resource\"`},
		{"/v1/watch", `{"Resources":[]}`, 400, `a member \"Resources\"`},
		{"/v1/watch", `{"resources":[` + one + `],"x":{}}`, 400, `a member \"x\"`},
		{"/v1/watch", `{"resources":[` + one + `],"resources":[]}`, 400, `the member \"resources\" twice`},
		{"/v1/watch", watch(one) + `{}`, 400, "behind the body's JSON object"},
		{"/v1/watch", watch(one) + `x`, 400, "behind the body's JSON object"},
		{"/v1/watch", strings.Repeat("[", 1<<20), 400, "the body is not an object"},
		{"/v1/watch", `{"` + strings.Repeat("x", 1<<19) + `":1}`, 400, "…"},

		// Items: the index that is wrong.
		{"/v1/watch", watch(one, `1`), 400, "resources[1] is not an object"},
		{"/v1/watch", watch(one, `null`), 400, "resources[1] is not an object"},
		{"/v1/watch", watch(one, `{}`), 400, "resources[1] has not all of"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread"}`), 400, "resources[1] has not all of"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":1}`), 400, "resources[1].id is not a string"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":null}`), 400, "resources[1].id is not a string"},
		{"/v1/watch", watch(one, `{"tenant_id":["t_ann"],"kind":"thread","id":"x"}`), 400, "resources[1].tenant_id is not a string"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":"x","Id":"y"}`), 400, `resources[1] has a member \"Id\"`},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":"x","id":"y"}`), 400, `resources[1] has the member \"id\" twice`},
		{"/v1/watch", watch(one, `{"tenant_id":"T","kind":"thread","id":"x"}`), 400, "resources[1]: invalid"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"media","id":"x"}`), 400, "resources[1]: invalid"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":"../x"}`), 400, "resources[1]: invalid"},
		{"/v1/watch", watch(one, `{"tenant_id":"t_ann","kind":"thread","id":"`+"\xff"+`"}`), 400, "resources[1]: invalid"},
		{"/v1/watch", watch(one, one), 400, "resources[1] is resources[0] again"},
		{"/v1/watch", many(5001), 400, "resources[5000] is one too many"},
		{"/v1/access", `{"resources":[{"kind":"thread","id":"one"}]}`, 400, "tenant_id is missing"},
		{"/v1/access", `{"tenant_id":"T","resources":[{"kind":"thread","id":"one"}]}`, 400, "does not match"},
		{"/v1/access", `{"tenant_id":"t_ann","resources":[` + one + `]}`, 400, `resources[0] has a member \"tenant_id\"`},
		{"/v1/access", `{"tenant_id":"t_ann","resources":[` + strings.Repeat(`{"kind":"thread","id":"one"},`, 500) + `{"kind":"thread","id":"one"}]}`, 400, "resources[500] is one too many"},

		// Length.
		{"/v1/watch", watch(one) + strings.Repeat(" ", 1<<20-len(watch(one))) + " ", 413, "more than 1048576 bytes"},
		{"/v1/access", strings.Repeat(" ", 1<<20+1), 413, "more than 1048576 bytes"},
		{"/v1/access", `{"tenant_id":"t_ann","resources":[{"kind":"thread","id":"one"}]}` + strings.Repeat(" ", 1<<19), 200, "[true]"},

		{"/v1/access", `{"resources":[{"kind":"thread","id":"one"},{"kind":"canvas","id":"one"},{"kind":"thread","id":"one"}],"tenant_id":"t_ann"}`, 200, `{"owned":[true,false,true]}`},
	} {
		a := s.post(t, c.path, c.body)
		about := fmt.Sprintf("%s %.150q: %s", c.path, c.body, a.body)
		require.Equal(t, c.status, a.StatusCode, about)
		require.Contains(t, a.body, c.says, about)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), about)
		if c.status >= 400 {
			require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), about)
		}
	}
	require.Equal(t, 411, s.ask(t, "POST /v1/watch\nTransfer-Encoding: chunked\n\n"+chunked(100)).StatusCode)
	require.Equal(t, 405, s.ask(t, "GET /v1/watch").StatusCode)
}
