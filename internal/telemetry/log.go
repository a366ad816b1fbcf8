package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// The log formats.
const (
	Auto = "auto" // Text on a terminal, else JSON
	JSON = "json"
	Text = "text"
)

// NewLogger returns a logger that writes JSON, one object a line, or text for
// people: the time of day, and no trace ids. JSON lines have trace_id and
// span_id if the context has a span, in the form of W3C trace context.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	if format == Auto && IsTerminal(w) {
		format = Text
	}
	if format == Text {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}))
	}
	return slog.New(traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: readableDuration})})
}

// IsTerminal reports whether a stream, such as an *os.File, is a terminal:
// whether somebody is looking, or can be asked.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	}
	return redacted(a)
}

// readableDuration writes "20s" in place of a number of nanoseconds.
func readableDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return redacted(a)
}

// redacted takes secrets out of what is logged as text: errors of exporters and
// clients have URLs in them.
func redacted(a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redact.Text(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok && err != nil {
			return slog.String(a.Key, redact.Text(err.Error()))
		}
	}
	return a
}

// traced adds the ids of the context's span to each record.
type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }
func (t traced) WithGroup(name string) slog.Handler       { return traced{t.Handler.WithGroup(name)} }
