package envelope_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

const thread = "nexus.thread.created.v1"

// judged is the reason why the rules refuse a creation by the source at the time,
// "" if they take it.
func judged(t *testing.T, r envelope.Rules, source string, at time.Time) envelope.Reason {
	t.Helper()
	r.Known = []string{thread}
	_, err := r.Decode(map[string]string{
		"ce-specversion": "1.0", "ce-id": "e1", "ce-source": source, "ce-type": thread, "ce-time": at.Format(time.RFC3339Nano),
	}, []byte(`{"tenant_id":"t_a","thread_id":"th_1"}`))
	var refusal *envelope.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	require.NoError(t, err)
	return ""
}

func TestSourcesMatchAsAWholeWithStarsForAnyText(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for pattern, sources := range map[string][2][]string{ // those that match, those that do not
		"//nexus":    {{"//nexus"}, {"//nexus/", "a//nexus", "//Nexus"}},
		"*":          {{"//nexus", "x"}, nil},
		"//nexus/*":  {{"//nexus/", "//nexus/a/b"}, {"//nexus", "x//nexus/a"}},
		"*/prod":     {{"//nexus/prod", "/prod"}, {"//nexus/prod/eu", "prod"}},
		"//*/eu/*/x": {{"//a/eu/b/x", "//a/eu/eu/x", "//a/eu/x/x"}, {"//a/eu/x", "//a/us/b/x", "//a/eu/b/xy"}},
		"a*a":        {{"aa", "aba", "aaa"}, {"a", "ab"}},
		"**":         {{"anything"}, nil},
		"a.c":        {{"a.c"}, {"abc"}},
	} {
		r := envelope.Rules{NotAfter: now, Sources: map[string][]string{thread: {"none of them", pattern}}}
		for _, source := range sources[0] {
			require.Empty(t, judged(t, r, source, now), "%s: %s", pattern, source)
		}
		for _, source := range sources[1] {
			require.Equal(t, envelope.ForeignSource, judged(t, r, source, now), "%s: %s", pattern, source)
		}
	}
	others := envelope.Rules{NotAfter: now, Sources: map[string][]string{"nexus.tenant.moved.v1": {"//nexus"}}}
	require.Empty(t, judged(t, others, "//anybody", now), "another type's sources")
}

func TestNobodyOutsideIsTheRegistry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	everybody := map[string][]string{thread: {"*", envelope.ArchiveSource}}
	require.Equal(t, envelope.ForeignSource, judged(t, envelope.Rules{NotAfter: now}, envelope.ArchiveSource, now))
	require.Equal(t, envelope.ForeignSource, judged(t, envelope.Rules{NotAfter: now, Sources: everybody}, envelope.ArchiveSource, now))
	require.Empty(t, judged(t, envelope.Rules{NotAfter: now}, "registry2", now))
}

func TestAnEventIsFromThePastBeforeItsBoundAndNotAtIt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := envelope.Rules{NotBefore: now.Add(-time.Hour), NotAfter: now}
	require.Empty(t, judged(t, r, "//n", now.Add(-time.Hour)))
	require.Equal(t, envelope.FromPast, judged(t, r, "//n", now.Add(-time.Hour-1)))
	require.Equal(t, envelope.FromFuture, judged(t, r, "//n", now.Add(1)))
	unbound := envelope.Rules{NotAfter: now}
	require.Empty(t, judged(t, unbound, "//n", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)))
}
