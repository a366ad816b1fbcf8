package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestEachKindOfErrorHasItsStatusAndTellsNoMoreThanItMay(t *testing.T) {
	for _, c := range []struct {
		kind   error
		status int
		title  string
		told   bool // the error's text is the caller's to know
	}{
		{registry.ErrInvalid, 400, "Bad Request", true},
		{registry.ErrNotFound, 404, "Not Found", false},
		{registry.ErrConflict, 409, "Conflict", false},
		{registry.ErrUnavailable, 503, "Service Unavailable", false},
		{errors.New("a defect"), 500, "Internal Server Error", false},
	} {
		w := httptest.NewRecorder()
		problem.Of(fmt.Errorf("%w: th_1 of <t_ann>", c.kind)).Write(w)
		require.Equal(t, c.status, w.Code)
		require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, c.status == 503, w.Header().Get("Retry-After") != "")
		var p problem.Problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, "about:blank", p.Type)
		require.Equal(t, c.title, p.Title)
		require.Equal(t, c.status, p.Status)
		require.NotEmpty(t, p.Detail)
		if c.told {
			require.Contains(t, p.Detail, "th_1 of <t_ann>")
		} else {
			require.NotContains(t, p.Detail, "th_1")
		}
	}
}
