package observe

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// LimitedLog writes log lines that others can cause as often as they like. Each
// kind of line has a limit of its own, so that a flood of one cannot drown the
// others. A line says in "suppressed" how many of its kind were not written since
// the one before. It is safe for concurrent use.
type LimitedLog struct {
	logger *slog.Logger
	every  rate.Limit
	burst  int

	mu    sync.Mutex
	kinds map[string]*logLimit
}

type logLimit struct {
	limiter    *rate.Limiter
	suppressed atomic.Int64
}

// NewLimitedLog returns a log that writes burst lines of a kind at once, and
// perSecond from then on.
func NewLimitedLog(logger *slog.Logger, perSecond float64, burst int) *LimitedLog {
	return &LimitedLog{logger: logger, every: rate.Limit(perSecond), burst: burst, kinds: map[string]*logLimit{}}
}

// Write writes a line, or suppresses it. There must be few kinds: they are kept.
func (l *LimitedLog) Write(ctx context.Context, kind string, level slog.Level, message string, attrs ...slog.Attr) {
	if !l.logger.Enabled(ctx, level) {
		return
	}
	limit := l.limit(kind)
	if !limit.limiter.Allow() {
		limit.suppressed.Add(1)
		return
	}
	var pc [1]uintptr
	runtime.Callers(2, pc[:]) // the line is the caller's, not this one
	r := slog.NewRecord(time.Now(), level, message, pc[0])
	r.AddAttrs(attrs...)
	if n := limit.suppressed.Swap(0); n > 0 {
		r.AddAttrs(slog.Int64("suppressed", n))
	}
	_ = l.logger.Handler().Handle(ctx, r) // as the methods of slog.Logger do
}

// Suppress counts a line that its caller does not want written.
func (l *LimitedLog) Suppress(kind string) { l.limit(kind).suppressed.Add(1) }

func (l *LimitedLog) limit(kind string) *logLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, ok := l.kinds[kind]
	if !ok {
		limit = &logLimit{limiter: rate.NewLimiter(l.every, l.burst)}
		l.kinds[kind] = limit
	}
	return limit
}
