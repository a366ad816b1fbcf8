package handlers_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func event(data events.Data) events.Event {
	return events.Event{ID: "e1", Source: "//nexus", Time: at, Data: data}
}

func TestEachTypeOfEventHasItsChanges(t *testing.T) {
	version := ownership.Version{Time: at, Source: "//nexus", ID: "e1"}
	thread := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	canvas := registry.Resource{Kind: registry.Canvas, ID: "cv_1"}
	move := ownership.Entry{Type: ownership.Moved, Version: version, From: "t_a", To: "t_b"}

	for name, c := range map[string]struct {
		data events.Data
		want []ownership.Change
	}{
		"a thread created is a created entry of the thread": {
			events.ThreadCreated{TenantID: "t_a", ThreadID: "th_1"},
			[]ownership.Change{{Resource: thread, Entry: ownership.Entry{Type: ownership.Created, Version: version, Tenant: "t_a"}}},
		},
		"a canvas created is a created entry of the canvas": {
			events.CanvasCreated{TenantID: "t_a", CanvasID: "cv_1"},
			[]ownership.Change{{Resource: canvas, Entry: ownership.Entry{Type: ownership.Created, Version: version, Tenant: "t_a"}}},
		},
		"a thread deleted is a deleted entry of the thread, without the event's name": {
			events.ThreadDeleted{ThreadID: "th_1"},
			[]ownership.Change{{Resource: thread, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: at}}}},
		},
		"a canvas deleted is a deleted entry of the canvas": {
			events.CanvasDeleted{CanvasID: "cv_1"},
			[]ownership.Change{{Resource: canvas, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: at}}}},
		},
		"a move that names resources is a moved entry for each": {
			events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_b", Resources: []events.ResourceRef{
				{Kind: "thread", ID: "th_1"}, {Kind: "canvas", ID: "cv_1"},
			}},
			[]ownership.Change{{Resource: thread, Entry: move}, {Resource: canvas, Entry: move}},
		},
		"a move that names none is one moved entry of the ledger": {
			events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_b"},
			[]ownership.Change{{Entry: move}},
		},
		"an assertion is an asserted entry without source and id": {
			archived.Asserted{TenantID: "t_a", Resource: events.ResourceRef{Kind: "thread", ID: "th_1"}},
			[]ownership.Change{{Resource: thread, Entry: ownership.Entry{
				Type: ownership.Asserted, Version: ownership.Version{Time: at}, Tenant: "t_a",
			}}},
		},
		"a retraction is a retracted entry of the ledger under the name of its move": {
			archived.Retracted{EventSource: "//nexus", EventID: "e0", By: "kim", Reason: "wrong tenant"},
			[]ownership.Change{{Entry: ownership.Entry{
				Type: ownership.Retracted, Version: ownership.Version{Time: at, Source: "//nexus", ID: "e0"}, Actor: "kim", Reason: "wrong tenant",
			}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, handlers.Changes(event(c.data)))
		})
	}
}

type unknown struct{}

func (unknown) Type() events.Type { return "unknown" }

func TestDataWithoutAHandlerPanicsInsteadOfBeingDropped(t *testing.T) {
	require.Panics(t, func() { handlers.Changes(event(unknown{})) })
}

func TestAMessageIsTransientElseRefusedElseDone(t *testing.T) {
	down := fmt.Errorf("commit: %w", registry.ErrUnavailable)
	applied := ownership.Outcome{Kind: ownership.Applied}
	duplicate := ownership.Outcome{Kind: ownership.Duplicate}
	inapplicable := ownership.Outcome{Kind: ownership.Inapplicable}
	gone := ownership.Outcome{Kind: ownership.Gone}
	conflict := ownership.Outcome{Kind: ownership.Conflict, Detail: "thread/th_1 is t_b's"}
	full := ownership.Outcome{Kind: ownership.HistoryFull, Detail: "thread/th_2 is full"}
	failed := ownership.Outcome{Kind: ownership.Failed, Err: down}

	refused := func(reason events.Reason, detail string) handlers.Result {
		return handlers.Refuse(&events.Refusal{Reason: reason, Detail: detail})
	}
	for name, c := range map[string]struct {
		outcomes []ownership.Outcome
		want     handlers.Result
	}{
		"applied":                           {[]ownership.Outcome{applied}, handlers.Result{Outcome: handlers.Applied}},
		"duplicate":                         {[]ownership.Outcome{duplicate}, handlers.Result{Outcome: handlers.Duplicate}},
		"inapplicable":                      {[]ownership.Outcome{inapplicable}, handlers.Result{Outcome: handlers.Inapplicable}},
		"conflict":                          {[]ownership.Outcome{conflict}, refused(events.Conflict, "thread/th_1 is t_b's")},
		"history full":                      {[]ownership.Outcome{full}, refused(events.HistoryFull, "thread/th_2 is full")},
		"failed":                            {[]ownership.Outcome{failed}, handlers.Retry(down)},
		"the applied one names the rest":    {[]ownership.Outcome{duplicate, applied, inapplicable}, handlers.Result{Outcome: handlers.Applied}},
		"inapplicable outranks a duplicate": {[]ownership.Outcome{duplicate, inapplicable}, handlers.Result{Outcome: handlers.Inapplicable}},
		"gone outranks a duplicate":         {[]ownership.Outcome{duplicate, gone}, handlers.Result{Outcome: handlers.Gone}},
		"inapplicable outranks gone":        {[]ownership.Outcome{inapplicable, gone}, handlers.Result{Outcome: handlers.Inapplicable}},
		"refused outranks applied":          {[]ownership.Outcome{applied, conflict}, refused(events.Conflict, "thread/th_1 is t_b's")},
		"the first refusal is told":         {[]ownership.Outcome{full, conflict}, refused(events.HistoryFull, "thread/th_2 is full")},
		"transient outranks refused":        {[]ownership.Outcome{conflict, applied, failed}, handlers.Retry(down)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, handlers.Reduce(c.outcomes))
		})
	}
}

func TestWhatTheStoreCallsInvalidIsRefusedAndNotRetriedForEver(t *testing.T) {
	err := fmt.Errorf("%w: tenant %q", registry.ErrInvalid, "T")
	got := handlers.Reduce([]ownership.Outcome{{Kind: ownership.Failed, Err: err}})
	require.Equal(t, handlers.Refused, got.Outcome)
	require.Equal(t, events.Schema, got.Refusal.Reason)
	require.Equal(t, err.Error(), got.Refusal.Detail)
}

func TestAChangeThatPanickedIsRefusedAndNotTriedForEver(t *testing.T) {
	got := handlers.Reduce([]ownership.Outcome{{Kind: ownership.Failed, Err: fmt.Errorf("change the ledger: %w", &ownership.PanicError{Value: "nil map"})}})
	require.Equal(t, handlers.Refused, got.Outcome)
	require.Equal(t, events.Panic, got.Refusal.Reason)
	require.Equal(t, "nil map", got.Refusal.Detail)
}

func TestAnOutcomeThatSaysNothingIsNeverAcked(t *testing.T) {
	for _, o := range []ownership.Outcome{{}, {Kind: "new"}, {Kind: ownership.Failed}} {
		got := handlers.Reduce([]ownership.Outcome{o})
		require.Equal(t, handlers.Transient, got.Outcome, "%+v", o)
		require.True(t, errors.Is(got.Err, registry.ErrUnavailable), "%+v", o)
	}
}
