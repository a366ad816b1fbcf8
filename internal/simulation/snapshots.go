package simulation

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// options are those of the stores of processes: where there are snapshots, one is due
// at every change, and has a document for each move.
func (s *registryWorld) options(chance func() float64) regstore.Options {
	o := regstore.Options{LedgerRate: 1e6, Chance: chance}
	if s.snapshots {
		o.SnapshotEvery, o.ChunkBytes = 1, 1
	}
	return o
}

// snapshotter writes snapshots of the ledger.
func (s *registryWorld) snapshotter(p *process) {
	for {
		s.sleep(p, time.Duration(p.random.IntN(20))*time.Second)
		if s.isCalm() {
			continue
		}
		if _, err := p.store.Read(p.ctx, nil); err != nil {
			continue
		}
		written, _ := p.store.WriteSnapshot(p.ctx, p.name)
		s.step(p, "snapshot")
		if written {
			s.met(Snapshots)
		}
	}
}

// startsWhole holds that who starts now finds the ledger as it is stored, and that a
// snapshot can be read.
func (s *registryWorld) startsWhole() {
	ctx := context.Background()
	var log bytes.Buffer
	o := s.options(nil)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	started, err := regstore.Open(ctx, s.db, o)
	if err != nil {
		s.fails("start: %w", err)
		return
	}
	snapshot, err := started.Read(ctx, nil)
	if err != nil {
		s.fails("read after a start: %w", err)
		return
	}
	stored := ownership.NewLedger(snapshot.Ledger.Position(), s.moves())
	if !slices.Equal(slices.Collect(stored.Moves()), slices.Collect(snapshot.Ledger.Moves())) {
		s.fails("who starts does not know the ledger: %v, and not %v", slices.Collect(snapshot.Ledger.Moves()), slices.Collect(stored.Moves()))
	}
	if log.Len() > 0 && s.restoring < restored { // else it may be told that the snapshot is of the epoch before
		s.fails("a start was told: %s", log.String())
	}
	if snapshot.Ledger.Len() > 0 {
		s.met(Started)
	}
}
