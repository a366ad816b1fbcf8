package telemetry

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// LevelFatal is the level of the line with which a process ends.
const LevelFatal = slog.LevelError + 4

// LogOptions says how log lines are written.
type LogOptions struct {
	Format  string       // Text, JSON or Google
	Level   slog.Leveler // nil: info
	Project string       // the Google Cloud project of traces, for Google; empty: unknown
}

// NewLogger returns a logger that writes one line a record. Text is for people: it
// has the time of day, and no trace ids. JSON has trace_id and span_id if the
// context has a span, in the form of W3C trace context. Google is JSON with the
// fields that Cloud Logging takes out of a line
// (https://cloud.google.com/logging/docs/structured-logging). In each, durations
// are text such as "20s", and what looks like a secret in a URL is redacted.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	switch o.Format {
	case Text:
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: textAttr}))
	case Google:
		return slog.New(&google{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: googleAttr}), o.Project})
	}
	return slog.New(&traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: jsonAttr})})
}

func textAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	}
	return jsonAttr(groups, a)
}

func jsonAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey && a.Value.Any() == LevelFatal {
		return slog.String(a.Key, "FATAL")
	}
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

func (t *traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t *traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &traced{t.Handler.WithAttrs(attrs)}
}
func (t *traced) WithGroup(name string) slog.Handler { return &traced{t.Handler.WithGroup(name)} }

// google adds what Cloud Logging reads from the context and from the place of the
// call.
type google struct {
	slog.Handler
	project string
}

func (g *google) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	located := r.Level >= slog.LevelWarn && r.PC != 0
	if !span.IsValid() && !located {
		return g.Handler.Handle(ctx, r)
	}
	r = r.Clone()
	if span.IsValid() {
		r.AddAttrs(g.trace(span)...)
	}
	if located {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		r.AddAttrs(slog.Group("logging.googleapis.com/sourceLocation",
			"file", frame.File, "line", strconv.Itoa(frame.Line), "function", frame.Function))
	}
	return g.Handler.Handle(ctx, r)
}

// trace links a line to its span
// (https://cloud.google.com/trace/docs/trace-log-integration). Without a project
// there is no name of a trace.
func (g *google) trace(span trace.SpanContext) []slog.Attr {
	id := slog.String("trace_id", span.TraceID().String())
	if g.project != "" {
		id = slog.String("logging.googleapis.com/trace", "projects/"+g.project+"/traces/"+span.TraceID().String())
	}
	return []slog.Attr{
		id,
		slog.String("logging.googleapis.com/spanId", span.SpanID().String()),
		slog.Bool("logging.googleapis.com/trace_sampled", span.IsSampled()),
	}
}

func (g *google) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &google{g.Handler.WithAttrs(attrs), g.project}
}

func (g *google) WithGroup(name string) slog.Handler {
	return &google{g.Handler.WithGroup(name), g.project}
}

func googleAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.MessageKey:
			a.Key = "message"
		case slog.LevelKey:
			level, _ := a.Value.Any().(slog.Level)
			return slog.String("severity", severity(level))
		}
	}
	return jsonAttr(groups, a)
}

// severity is Google's word for a level
// (https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSeverity).
func severity(level slog.Level) string {
	switch {
	case level >= LevelFatal:
		return "CRITICAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}
