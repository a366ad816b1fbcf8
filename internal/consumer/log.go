package consumer

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// How many lines of one kind are written: a burst, then one a second.
const (
	logBurst = 20
	logRate  = 1
)

// messageLog writes what an operator must see about single messages.
type messageLog struct{ *observe.LimitedLog }

func (l messageLog) settled(w *work, r handlers.Result) {
	switch r.Outcome {
	case handlers.Refused:
		l.write("refused "+string(r.Refusal.Reason), w, slog.LevelWarn, "message refused and dead-lettered",
			slog.String("reason", string(r.Refusal.Reason)), slog.String("detail", truncate(r.Refusal.Detail, maxAttributeValue)))
	case handlers.Transient:
		l.write("transient", w, slog.LevelWarn, "message not applied; it will be delivered again",
			slog.String("error", r.Err.Error()))
	}
}

func (l messageLog) displaced(w *work, change ownership.Change, lost ownership.Entry) {
	l.write("displaced", w, slog.LevelError, "an event took the place of one that had been acknowledged: find out which is true",
		what(change), slog.String("displaced", lost.Says()), slog.String("displaced_source", lost.Source),
		slog.String("displaced_id", lost.ID), slog.String("by", change.Entry.Says()))
}

func (l messageLog) wouldCount(w *work, change ownership.Change) {
	l.write("would count", w, slog.LevelError, "a move that would have changed the owner was refused: the history is full",
		what(change), slog.String("move", change.Entry.Says()))
}

func (l messageLog) bornMoved(w *work, change ownership.Change, move ownership.Move) {
	l.write("born moved", w, slog.LevelWarn, "what was created belongs to another tenant from the first: a move of the whole tenant lies between its time and its publication",
		what(change), slog.String("tenant_id", change.Entry.Tenant), slog.String("owner", move.To), slog.Time("created", change.Entry.Time),
		slog.Time("published", w.message.PublishTime), slog.Time("moved", move.Time), slog.String("move_source", move.Source), slog.String("move_id", move.ID))
}

func (l messageLog) backdatedMove(w *work, change ownership.Change) {
	l.write("backdated move", w, slog.LevelWarn, "a move of a whole tenant counts from long before its publication: what was created in between has moved too",
		slog.String("from", change.Entry.From), slog.String("to", change.Entry.To), slog.Time("moved", change.Entry.Time),
		slog.Time("published", w.message.PublishTime))
}

// what returns the target of a change, as an attribute.
func what(change ownership.Change) slog.Attr {
	if change.OfLedger() {
		return slog.String("tenant_id", change.Entry.From)
	}
	return slog.String("resource", change.Resource.String())
}

func (l messageLog) panicked(w *work, p any, stack []byte) {
	l.write("panic", w, slog.LevelError, "a handler panicked; this is a defect, please report it",
		slog.Any("panic", p), slog.String("stack_trace", string(stack)))
}

func (l messageLog) write(kind string, w *work, level slog.Level, text string, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("message_id", w.message.ID), slog.String("subscription", w.message.Subscription))
	if w.event.Data != nil {
		attrs = append(attrs, slog.String("event_type", string(w.event.Type())),
			slog.String("event_source", w.event.Source), slog.String("event_id", w.event.ID))
	}
	ctx := context.Background()
	if w.span != nil {
		ctx = trace.ContextWithSpan(ctx, w.span) // for the log's trace ids
	}
	l.Write(ctx, kind, level, text, attrs...)
}
