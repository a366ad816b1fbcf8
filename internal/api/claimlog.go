package api

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/registry"
)

// claimLog says who claimed what: nothing else tells of a claim that was refused.
// Yes and no have a limit each, so that a flood of one cannot hide the other.
type claimLog struct {
	logger  *slog.Logger
	yes, no claimLimit
}

type claimLimit struct {
	lines *rate.Limiter
	held  atomic.Int64 // log lines held back since the last one
}

func newClaimLog(logger *slog.Logger) *claimLog {
	return &claimLog{logger: logger, yes: claimLimit{lines: rate.NewLimiter(10, 50)}, no: claimLimit{lines: rate.NewLimiter(10, 50)}}
}

// log takes what became of a claim. A repeated one says nothing new. The owner is
// for the log alone: the answer does not name it.
func (l *claimLog) log(r *http.Request, resource registry.Resource, tenantID string, created bool, err error) {
	var conflict *registry.ConflictError
	switch {
	case created:
		l.yes.write(r, l.logger, slog.LevelInfo, "claimed", slog.String("resource", resource.String()), slog.String("tenant", tenantID))
	case errors.As(err, &conflict):
		l.no.write(r, l.logger, slog.LevelWarn, "claim refused: somebody else owns it", slog.String("resource", resource.String()),
			slog.String("tenant", tenantID), slog.String("owner", conflict.Owner))
	}
}

func (l *claimLimit) write(r *http.Request, logger *slog.Logger, level slog.Level, text string, attrs ...slog.Attr) {
	if !l.lines.Allow() {
		l.held.Add(1)
		return
	}
	logger.LogAttrs(r.Context(), level, text, append(attrs, slog.Int64("held_back", l.held.Swap(0)))...)
}
