// Package claimlog logs who claimed what: nothing else records a claim that was
// refused. The stores call it, since all claims pass through them, over HTTP and in
// Go.
package claimlog

import (
	"context"
	"errors"
	"log/slog"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Lines a second, in the long run and at once, of each kind.
const (
	perSecond = 10
	burst     = 50
)

// A Log writes a line for each claim that made an owner, and for each that was
// refused. The two have a limit each, so that a flood of one cannot hide the other.
// It is safe for concurrent use.
type Log struct{ lines *observe.LimitedLog }

// New returns a log; with a nil logger it writes nothing.
func New(logger *slog.Logger) *Log {
	return &Log{observe.NewLimitedLog(observe.Providers{Logger: logger}.OrNoop().Logger, perSecond, burst)}
}

// Claim logs the result of a claim, unless it was a repetition. The owner is for
// the log alone: no answer names it.
func (l *Log) Claim(ctx context.Context, tenantID string, resource registry.Resource, created bool, err error) {
	var conflict *ownership.ConflictError
	switch {
	case created:
		l.lines.Write(ctx, "claimed", slog.LevelInfo, "claimed", slog.String("resource", resource.String()), slog.String("tenant_id", tenantID))
	case errors.As(err, &conflict) && conflict.Owner == "":
		l.lines.Write(ctx, "refused", slog.LevelWarn, "claim refused: it was deleted", slog.String("resource", resource.String()), slog.String("tenant_id", tenantID))
	case errors.As(err, &conflict):
		l.lines.Write(ctx, "refused", slog.LevelWarn, "claim refused: another tenant owns it", slog.String("resource", resource.String()),
			slog.String("tenant_id", tenantID), slog.String("owner", conflict.Owner))
	}
}
