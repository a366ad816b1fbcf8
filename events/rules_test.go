package events_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

// judged is the reason why the rules refuse a creation by the source at the time,
// "" if they take it.
func judged(t *testing.T, r events.Rules, source string, at time.Time) events.Reason {
	t.Helper()
	_, err := r.Decode(map[string]string{
		"ce-specversion": "1.0", "ce-id": "e1", "ce-source": source, "ce-type": "nexus.thread.created.v1", "ce-time": at.Format(time.RFC3339Nano),
	}, []byte(`{"tenant_id":"t_a","thread_id":"th_1"}`))
	var refusal *events.Refusal
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
		r := events.Rules{NotAfter: now, Sources: map[events.Type][]string{events.ThreadCreatedType: {"none of them", pattern}}}
		for _, source := range sources[0] {
			require.Empty(t, judged(t, r, source, now), "%s: %s", pattern, source)
		}
		for _, source := range sources[1] {
			require.Equal(t, events.ForeignSource, judged(t, r, source, now), "%s: %s", pattern, source)
		}
	}
	others := events.Rules{NotAfter: now, Sources: map[events.Type][]string{events.TenantMovedType: {"//nexus"}}}
	require.Empty(t, judged(t, others, "//anybody", now), "another type's sources")
}

func TestNobodyOutsideIsTheRegistry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	everybody := map[events.Type][]string{events.ThreadCreatedType: {"*", events.ArchiveSource}}
	require.Equal(t, events.ForeignSource, judged(t, events.Rules{NotAfter: now}, events.ArchiveSource, now))
	require.Equal(t, events.ForeignSource, judged(t, events.Rules{NotAfter: now, Sources: everybody}, events.ArchiveSource, now))
	require.Empty(t, judged(t, events.Rules{NotAfter: now}, "registry2", now))
}

func TestAnEventIsFromThePastBeforeItsBoundAndNotAtIt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := events.Rules{NotBefore: now.Add(-time.Hour), NotAfter: now}
	require.Empty(t, judged(t, r, "//n", now.Add(-time.Hour)))
	require.Equal(t, events.FromPast, judged(t, r, "//n", now.Add(-time.Hour-1)))
	require.Equal(t, events.FromFuture, judged(t, r, "//n", now.Add(1)))
	unbound := events.Rules{NotAfter: now}
	require.Empty(t, judged(t, unbound, "//n", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)))
}
