package ownership

import (
	"sync"
	"time"
)

// FeedCursor is how far a reader has come in the change feed, and which entries
// it has been told of in the part where more may appear. An entry's time is that
// of its request, and its commit may come later, so that part reaches back from
// the last read by as long as a commit may take.
//
// It is safe for concurrent use by one call of Feed.Changes and one of
// Feed.Listen. A cursor belongs to one store.
type FeedCursor struct {
	tell func([]FeedEntry)

	mu     sync.Mutex
	ledger *Ledger   // of the last read
	floor  time.Time // no entry with an earlier At needs to be told any more
	read   time.Time // up to here a read has told everything that was committed by then
	hears  bool
	told   map[int64]map[string]struct{} // names, by slice of time
	count  int                           // of names in told
}

// Slice is the grain in which a cursor knows what it was told. All times that it
// returns are of whole slices.
const Slice = 250 * time.Millisecond

// mostTold bounds the entries whose names are kept, some 10 MB of them. Entries
// beyond it are told again when they are read again, which costs a read and does
// no harm.
const mostTold = 100_000

// NewFeedCursor returns a cursor that has read nothing. It calls tell for entries,
// of which each is told once, except for some beyond mostTold, and for those
// that are told at the same time by two calls. An entry counts as told when tell
// has returned. tell must not call the cursor.
func NewFeedCursor(tell func([]FeedEntry)) *FeedCursor {
	return &FeedCursor{tell: tell, told: map[int64]map[string]struct{}{}}
}

func slice(t time.Time) int64 { return t.UnixNano() / int64(Slice) }

// Follow takes note of the ledger that a read has found, and reports whether it is of
// the epoch of those before. If not, the database was restored, and what the cursor
// has told of may not be there.
func (c *FeedCursor) Follow(l *Ledger) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := c.ledger.SameEpoch(l)
	c.ledger = l
	return same
}

// Begin starts the cursor anew at a time: what is earlier is not told.
func (c *FeedCursor) Begin(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.told)
	c.floor, c.read, c.count = at.Truncate(Slice), time.Time{}, 0
}

// Advance says that all entries with an earlier At have been told, and that no
// more of them can appear. It never goes back.
func (c *FeedCursor) Advance(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to = to.Truncate(Slice)
	if !to.After(c.floor) {
		return
	}
	c.floor = to
	for i, names := range c.told {
		if i < slice(to) {
			c.count -= len(names)
			delete(c.told, i)
		}
	}
}

// Floor is the time from which on entries are to be read. It is zero if the
// cursor has read nothing yet.
func (c *FeedCursor) Floor() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}

// Told is the number of entries whose names are kept.
func (c *FeedCursor) Told() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// ReadTo says that a read has told of all entries with an earlier At that were
// committed by then. What is committed later is for counting to find.
func (c *FeedCursor) ReadTo(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = later(c.read, at.Truncate(Slice))
}

// Hear says whether a listener tells of entries as they are committed.
func (c *FeedCursor) Hear(hears bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hears = hears
}

// View is what the cursor knows now: all of it has been committed by now.
func (c *FeedCursor) View() FeedView {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := FeedView{Floor: c.floor, ReadTo: later(c.read, c.floor), Hears: c.hears, told: make(map[int64]int, len(c.told))}
	for i, names := range c.told {
		v.told[i] = len(names)
	}
	return v
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Knows reports whether an entry has been told, as far as names are kept.
func (c *FeedCursor) Knows(id string, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.told[slice(at)][id]
	return known
}

// Tell tells those of the entries that have not been told yet, in one call.
func (c *FeedCursor) Tell(entries ...FeedEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var fresh []FeedEntry
	for _, e := range entries {
		if _, known := c.told[slice(e.At)][e.ID]; !known {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return
	}
	c.tell(fresh)
	for _, e := range fresh {
		c.keepLocked(e)
	}
}

func (c *FeedCursor) keepLocked(e FeedEntry) {
	i := slice(e.At)
	if e.At.Before(c.floor) || c.count >= mostTold {
		return
	}
	if c.told[i] == nil {
		c.told[i] = map[string]struct{}{}
	}
	if _, twice := c.told[i][e.ID]; !twice {
		c.told[i][e.ID] = struct{}{}
		c.count++
	}
}
