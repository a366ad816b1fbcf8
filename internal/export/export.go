package export

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Source is the registry that is read.
type Source interface {
	// AsOf returns the ledger as of a time; of now for the zero time.
	AsOf(ctx context.Context, at time.Time) (ownership.Snapshot, error)
	// Range visits the documents behind a name, up to another one ("": to the
	// last), in the order of names, as of the snapshot's time. limit bounds how
	// many there are; 0: no bound.
	Range(ctx context.Context, at ownership.Snapshot, after, upTo string, limit int, visit func(ownership.Record) error) error
}

// Options says what to export, and where to.
type Options struct {
	Dir    string // of the parts; made if it is not there
	Origin Origin
	// At is the time as of which to read; zero: now. An export that is resumed
	// has one already.
	At time.Time
	// OwnTimes lets each range be read as of its own time, when it begins.
	OwnTimes bool
	Readers  int // ranges that are read side by side; default 16
	// Encode returns a record's lines, and why it was left out if it was. It is
	// called by many goroutines.
	Encode func(ownership.Record, *ownership.Ledger) (lines []byte, leftOut error)
	// LeftOut is called with what was left out, by one goroutine at a time.
	LeftOut func(error)
	// Begun is called once, with the time as of which the export reads, and how
	// many documents an interrupted one has already. No document is read before it
	// returns; its error ends the export.
	Begun func(at ownership.Snapshot, documents int64) error
	// Progress is called now and then with the number of documents read.
	Progress func(documents int64)
}

// Result is what an export has made.
type Result struct {
	At        ownership.Snapshot
	Files     []string // together, in this order, the export
	Documents int64
	LeftOut   int64 // of these, those that Encode left out
	Unread    int64 // of these, those that this version does not understand
}

const (
	saveEvery   = time.Second
	noteEvery   = 2000 // documents of a part
	cutAfter    = 1000 // documents of a part, since it was cut
	readers     = 16
	cutAttempts = 100 // each halves what is between two names
)

// Run exports. After an error, that of ctx included, the same options resume it.
// Remove the directory once its files have been used.
func Run(ctx context.Context, source Source, o Options) (Result, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Result{}, err
	}
	m, err := load(o.Dir, o.Origin)
	if err != nil {
		return Result{}, err
	}
	at := o.At
	if !m.ReadTime.IsZero() {
		at = m.ReadTime
	}
	snapshot, err := source.AsOf(ctx, at)
	if err != nil {
		return Result{}, err
	}
	if !o.OwnTimes {
		m.ReadTime = snapshot.ReadTime
	}
	r := &run{source: source, o: o, manifest: m, at: snapshot}
	if err := m.save(o.Dir); err != nil { // so that it is resumed as of this time
		return Result{}, err
	}
	if o.Begun != nil {
		if err := o.Begun(snapshot, m.documents()); err != nil {
			return Result{}, err
		}
	}
	if err := r.all(ctx); err != nil {
		return Result{}, err
	}
	result := Result{At: snapshot, Documents: m.documents()}
	for _, p := range m.Parts {
		if err := p.trim(o.Dir); err != nil {
			return Result{}, err
		}
		result.Files = append(result.Files, p.file(o.Dir))
		result.LeftOut += p.LeftOut
		result.Unread += p.Unread
	}
	return result, nil
}

func (m *manifest) documents() (n int64) {
	for _, p := range m.Parts {
		n += p.Documents
	}
	return n
}

// run is an export under way. mu guards the manifest and its parts.
type run struct {
	source Source
	o      Options
	at     ownership.Snapshot

	mu       sync.Mutex
	manifest *manifest
	saved    time.Time
	cuts     int

	telling sync.Mutex // calls of LeftOut
}

// all reads with several readers until every part is done.
func (r *run) all(ctx context.Context) error {
	n := r.o.Readers
	if n == 0 {
		n = readers
	}
	group, ctx := errgroup.WithContext(ctx)
	for range n {
		group.Go(func() error {
			for {
				p, err := r.next(ctx)
				if p == nil || err != nil {
					return err
				}
				if err := r.read(ctx, p); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.manifest.save(r.o.Dir))
}

// next returns a part for a reader that has none: one that has no reader, else half
// of what another reader still has to read; nil if there is nothing to do.
func (r *run) next(ctx context.Context) (*part, error) {
	for {
		p, victim, open := r.choose()
		if p != nil || !open {
			return p, nil
		}
		if victim != nil {
			if p, err := r.cut(ctx, victim); p != nil || err != nil {
				return p, err
			}
		}
		select { // until there is more to cut
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// choose returns a part without a reader; else the running one that was not cut for
// the longest time, which probably has most left to read. A part that was just cut
// must first show that there is something in it.
func (r *run) choose() (p, victim *part, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.manifest.Parts {
		switch {
		case p.Done:
		case !p.running:
			p.running = true
			return p, nil, true
		default:
			open = true
			if p.read >= cutAfter && (victim == nil || p.cut < victim.cut) {
				victim = p
			}
		}
	}
	return nil, victim, open
}

// cut gives the second half of what a part has to read to a new one, which is
// running; nil if there is nothing to give.
func (r *run) cut(ctx context.Context, victim *part) (*part, error) {
	for range cutAttempts {
		r.mu.Lock()
		after, upTo := victim.now, victim.UpTo
		r.mu.Unlock()
		middle, ok := ownership.NameBetween(after, upTo)
		if !ok {
			break
		}
		some, err := r.some(ctx, middle, upTo)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		if victim.Done || victim.now >= middle || victim.UpTo != upTo {
			r.mu.Unlock()
			return nil, nil // it has moved on
		}
		victim.UpTo = middle
		if !some {
			r.mu.Unlock()
			continue
		}
		p := &part{Number: r.manifest.Next, After: middle, UpTo: upTo, Position: middle, now: middle, running: true}
		r.manifest.Next++
		r.cuts++
		victim.cut, victim.read, p.cut = r.cuts, 0, r.cuts
		i := slices.Index(r.manifest.Parts, victim)
		r.manifest.Parts = slices.Insert(r.manifest.Parts, i+1, p)
		r.mu.Unlock()
		return p, nil
	}
	r.mu.Lock()
	victim.read = 0
	r.mu.Unlock()
	return nil, nil
}

// some reports whether there are documents in a range.
func (r *run) some(ctx context.Context, after, upTo string) (found bool, err error) {
	err = r.source.Range(ctx, r.at, after, upTo, 1, func(ownership.Record) error {
		found = true
		return nil
	})
	return found, err
}

// tell reports to LeftOut why a document is left out, and returns whether this
// version does not understand it.
func (r *run) tell(err error) bool {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.o.LeftOut != nil {
		r.o.LeftOut(err)
	}
	return errors.Is(err, registry.ErrTooNew)
}
