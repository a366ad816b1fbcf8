package rewrite_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// defective has a defect that one document brings to light, and one that is met when
// a page of a tenant's documents is read.
type defective struct {
	ownership.Rewriter
	document, tenant string
}

func (d *defective) Rewrite(ctx context.Context, records []ownership.Record) (int, error) {
	for _, r := range records {
		if r.Document == d.document {
			panic("index out of range")
		}
	}
	return d.Rewriter.Rewrite(ctx, records)
}

func (d *defective) Affected(ctx context.Context, page ownership.Page) ([]ownership.Record, bool, error) {
	if page.Tenants[0] == d.tenant {
		panic("nil map")
	}
	return d.Rewriter.Affected(ctx, page)
}

func TestAPanicHoldsUpItsDocumentAndNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.create(w.store, "t_p", "page")
		w.create(w.store, "t_x", "other")
		w.move(w.store, "t_a", "t_b", "1-document")
		w.move(w.store, "t_p", "t_q", "2-page")
		w.move(w.store, "t_x", "t_y", "3-other")
		store := &defective{w.process(nil), "thread__th-3", "t_p"}
		worker := w.worker(store)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); worker.Run(ctx) }()
		time.Sleep(50 * time.Second)
		require.Equal(t, []string{"thread__page", "thread__th-3"}, w.wrong(), "all others are done")
		for id, state := range map[string]ownership.RewritingState{
			"1-document": ownership.RewritingQueued, "2-page": ownership.RewritingQueued, "3-other": ownership.RewritingDone,
		} {
			require.Equal(t, state, w.entry(id).Rewriting.State, id)
		}
		cancel()
		<-ended
		time.Sleep(time.Hour) // until they may be tried again
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()), "a release without the defect")
		require.Empty(t, w.wrong())
	})
}
