package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// What must hold of the ledger at the target's size.
const (
	mostStart      = 10 * time.Second
	mostStartReads = 1000
	mostLedger     = 150e6
	mostChange     = time.Millisecond
	behindSnapshot = 400 // changes that a start reads beside it
)

// scaleLedger measures starts with many moves of whole tenants, of which a snapshot
// was written, and what these take in memory: tenants of 12 bytes, events of 36.
func (b *bench) scaleLedger(ctx context.Context) (result scaled, err error) {
	start, reads, memory, change := ledgerSeries()
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		m, err := startWith(ctx, n)
		if err != nil {
			return scaled{}, err
		}
		for s, cost := range map[*series]float64{
			&start: m.start.Seconds(), &reads: float64(m.reads), &memory: float64(m.bytes) / 1e6, &change: float64(m.change.Nanoseconds()) / 1e3,
		} {
			s.points = append(s.points, point{n, cost})
		}
		if n < 1_000_000 {
			continue
		}
		result.rows = []scaleRow{
			{"a start with 1,000,000 moves", "does not start", "≤ " + mostStart.String(), m.start.Round(10 * time.Millisecond).String(), m.start <= mostStart},
			{"reads of it", "1,000,000", fmt.Sprint("≤ ", mostStartReads), fmt.Sprint(m.reads), m.reads <= mostStartReads},
			{"memory for them", "988 MB", "≤ 150 MB", fmt.Sprintf("%.0f MB", float64(m.bytes)/1e6), m.bytes <= mostLedger},
			{"a change", "10.8 s", "≤ " + mostChange.String(), m.change.String(), m.change <= mostChange},
		}
	}
	result.growth = []series{start, reads, memory, change}
	return result, nil
}

// ledgerSeries are the costs that grow with the ledger, with what was measured of
// commit 1571751, on such a machine: with more than 100,000 moves it does not start.
func ledgerSeries() (start, reads, memory, change series) {
	start = series{name: "start, s", before: []point{{1_000, 0.3}, {10_000, 0.8}, {100_000, 10.0}}}
	reads = series{name: "reads of a start", before: []point{{1_000, 1_000}, {10_000, 10_000}, {100_000, 100_000}}}
	memory = series{name: "memory of the ledger, MB", before: []point{{1_000, 1.0}, {10_000, 9.7}, {100_000, 97}, {1_000_000, 988}}}
	change = series{name: "CPU of a change, in each process, µs", before: []point{{1_000, 2_900}, {10_000, 38_000}, {100_000, 420_000}, {1_000_000, 10.8e6}}}
	return start, reads, memory, change
}

// startMeasured is what a start costs, and a change after it.
type startMeasured struct {
	start  time.Duration
	reads  int64
	bytes  uint64 // of memory
	change time.Duration
}

func startWith(ctx context.Context, n int) (m startMeasured, err error) {
	project := fmt.Sprintf("bench-%08x", rand.Uint32())
	if err := seedSnapshot(ctx, project, int64(n)); err != nil {
		return m, fmt.Errorf("seed a snapshot of %d moves: %w", n, err)
	}
	meter := wire.NewMeter()
	before := heap()
	began := time.Now()
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: project, ClientOptions: metered(meter)})
	if err != nil {
		return m, err
	}
	defer store.Close()
	m.start, m.reads = time.Since(began), meter.Reads(fsregistry.LedgerCollection)
	m.bytes = heap() - before
	snapshot, err := store.Read(ctx, nil)
	if err != nil {
		return m, err
	}
	if got, want := snapshot.Ledger.Len(), n+behindSnapshot; got != want {
		return m, fmt.Errorf("a start knows %d moves of %d", got, want)
	}
	const changes = 1000
	began = time.Now()
	for i, l := 0, snapshot.Ledger; i < changes; i++ {
		l = l.With(l.Position()+1, []ownership.LedgerEntry{{
			Version: ownership.Version{Time: epoch, Source: source, ID: fmt.Sprint("new", i)}, From: fmt.Sprint("t_new", i), To: "t_b", Position: l.Position() + 1,
		}})
	}
	m.change = time.Since(began) / changes
	return m, nil
}

// metered are the options of a client of the emulator whose reads are counted.
func metered(m *wire.Meter) []option.ClientOption {
	options := []option.ClientOption{option.WithEndpoint(os.Getenv("FIRESTORE_EMULATOR_HOST")), option.WithoutAuthentication()}
	for _, o := range append(m.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(owner{})) {
		options = append(options, option.WithGRPCDialOption(o))
	}
	return options
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one has finalized
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// seedSnapshot makes a ledger of n moves of which there is the snapshot alone, and
// some moves behind it: a start reads no others. A store for which the entries are
// made up as it reads them writes it.
func seedSnapshot(ctx context.Context, project string, n int64) error {
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: project})
	if err != nil {
		return err
	}
	founder, err := regstore.Open(ctx, db, regstore.Options{LedgerRate: 1e6})
	if err != nil {
		return err
	}
	defer founder.Close()
	if o := founder.Apply(ctx, []ownership.Change{newThread(0)})[0]; o.Kind != ownership.Applied { // which makes the head
		return fmt.Errorf("%s: %w", o.Kind, o.Err)
	}
	if _, err := db.Commit(ctx, docdb.Write{
		Name: db.Name(regstore.LedgerCollection, "head"), Fields: map[string]*docdb.Value{"position": docdb.Integer(n)}, Mask: []string{"position"},
	}); err != nil {
		return err
	}
	writer, err := regstore.Open(ctx, docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		switch {
		case c.Method == "Query" && c.Query.OrderBy == "seq":
			for i := c.Query.Any[0].Value.GetIntegerValue() + 1; i <= n; i++ {
				if err := c.Visit(storedMove(db, i)); err != nil {
					return err
				}
			}
			return nil
		case c.Method == "Sum":
			c.Counted, c.Sum = n, n*(n+1)/2
			return nil
		}
		return do()
	}), regstore.Options{LedgerRate: 1e6})
	if err != nil {
		return err
	}
	if written, err := writer.WriteSnapshot(ctx, "bench"); err != nil || !written {
		return fmt.Errorf("written %v: %w", written, err)
	}
	var more []ownership.Change
	for i := range behindSnapshot {
		more = append(more, wholeMove(i))
	}
	_, failed := applied(writer.Apply(ctx, more))
	if failed > 0 {
		return fmt.Errorf("%d moves failed", failed)
	}
	return nil
}

// storedMove is the document of the i-th move.
func storedMove(db docdb.DB, i int64) *docdb.Document {
	shuffled := uint64(i) * 0x9e3779b97f4a7c15
	id := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", uint32(shuffled>>32), uint16(shuffled>>16), uint16(shuffled)&0xfff, i&0xfff, i)
	return &docdb.Document{Name: db.Name(regstore.LedgerCollection, path.Base(id)), Fields: map[string]*docdb.Value{
		"source": docdb.Text(source), "id": docdb.Text(id), "seq": docdb.Integer(i), "format": docdb.Integer(1),
		"time": docdb.Text(epoch.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano)),
		"from": docdb.Text(fmt.Sprintf("t_%010x", shuffled>>24)), "to": docdb.Text(fmt.Sprintf("t_%010x", shuffled&0xffffffffff)),
	}}
}
