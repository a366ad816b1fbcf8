package rewrite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const (
	pageBytes   = 4 << 20 // of one page, as it is stored; a worker has as many as slots
	atOnce      = 500     // documents in one call of Rewrite
	cutAttempts = 16      // of a part whose second half may be empty
)

// part is a range of the documents that a pass visits.
type part struct {
	now, upTo string // up to where it has come, and where it ends ("": with the last document)
	// page is what was read and is still to be visited, read the last document that was
	// read, and ended says that there is none behind it. If large, there was more than
	// a page since the part was cut.
	page         []ownership.Record
	read         string
	ended, large bool

	busy, cutting bool
	done          bool
}

func partsOf(ranges []ownership.Range) (parts []*part) {
	for _, r := range ranges {
		parts = append(parts, &part{now: r.After, read: r.After, upTo: r.UpTo})
	}
	return parts
}

// idlePart returns the first part that no turn has; nil if there is none.
func (j *job) idlePart() *part {
	for _, p := range j.parts {
		if !p.busy {
			return p
		}
	}
	return nil
}

// partToCut returns a part that is at work, and has more than the page that it was
// read; nil if there is none. What was just cut has first to show that.
func (j *job) partToCut() *part {
	if j.failed != nil {
		return nil
	}
	for _, p := range j.parts {
		if p.busy && !p.cutting && p.large {
			return p
		}
	}
	return nil
}

// passedLocked leaves out the parts that are done.
func (j *job) passedLocked() {
	j.parts = slices.DeleteFunc(j.parts, func(p *part) bool {
		if p.done {
			j.tail = max(j.tail, p.now)
		}
		return p.done
	})
}

// markLocked notes in the progress what is left of the pass.
func (j *job) markLocked() {
	if j.phase != firstPass && j.phase != lastPass {
		return
	}
	var left []ownership.Range
	tail := j.tail
	for _, p := range j.parts {
		if p.done {
			tail = max(tail, p.now)
		} else {
			left = append(left, ownership.Range{After: p.now, UpTo: p.upTo})
		}
	}
	r := &j.stored.Entry.Rewriting
	r.Cursor, r.Ranges = tail, nil
	if len(left) > 0 {
		r.Cursor = left[0].After
	}
	if len(left) > 1 || len(left) == 1 && left[0].UpTo != "" {
		r.Ranges = left
	}
}

// cut gives the second half of what is still to be read of a part to a new one.
func (s *session) cut(j *job, p *part) error {
	for range cutAttempts {
		s.mu.Lock()
		after, upTo := p.read, p.upTo
		s.mu.Unlock()
		middle, ok := ownership.NameBetween(after, upTo)
		if !ok {
			break
		}
		found, _, err := s.readPage(j, middle, upTo, 1)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if p.done || p.read >= middle || p.upTo != upTo { // it has moved on
			s.mu.Unlock()
			return nil
		}
		p.upTo = middle
		if len(found) > 0 {
			j.parts = slices.Insert(j.parts, slices.Index(j.parts, p)+1, &part{now: middle, read: middle, upTo: upTo})
			p.large = false
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.large = false
	return nil
}

// page visits the next documents of a part: some two seconds' worth of those that were
// read together, since others want their turn.
func (s *session) page(j *job, p *part, most int) (visited int, err error) {
	if err := s.fill(j, p); err != nil {
		return 0, err
	}
	for visited < most && len(p.page) > 0 {
		n := min(len(p.page), most-visited, s.chunk())
		if err := s.visit(j, p, n); err != nil {
			return visited, err
		}
		visited += n
		if s.saveIsDue(j) {
			if err := s.save(j); err != nil {
				return visited, err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.done = len(p.page) == 0 && p.ended
	if len(p.page) > 0 && s.pagesLocked() > 2*s.o.AtOnce {
		p.page, p.read, p.ended, p.large = nil, p.now, false, false // it is read again
	}
	return visited, nil
}

// pagesLocked is how many pages are held, at work or for a next turn.
func (s *session) pagesLocked() (n int) {
	for _, j := range s.jobs {
		for _, p := range j.parts {
			if len(p.page) > 0 {
				n++
			}
		}
	}
	return n
}

// fill reads the next page of a part that has none.
func (s *session) fill(j *job, p *part) error {
	s.mu.Lock()
	after, upTo, full := p.read, p.upTo, len(p.page) > 0
	s.mu.Unlock()
	if full {
		return nil
	}
	records, more, err := s.readPage(j, after, upTo, s.o.Page)
	if err != nil {
		return err
	}
	s.telemetry.read(s.ctx, len(records))
	s.mu.Lock()
	defer s.mu.Unlock()
	j.stored.Entry.Rewriting.Read += int64(len(records))
	all := len(records)
	if p.upTo != upTo { // it was cut meanwhile
		records = records[:sort.Search(all, func(i int) bool { return records[i].Document > p.upTo })]
	}
	p.page, p.ended = records, !more || len(records) < all
	p.large = !p.ended
	if len(records) > 0 {
		p.read = records[len(records)-1].Document
	}
	return nil
}

// readPage returns some affected documents between two names.
func (s *session) readPage(j *job, after, upTo string, limit int) (records []ownership.Record, more bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	return s.store.Affected(ctx, ownership.Page{Tenants: j.stored.Entry.Rewriting.Tenants, After: after, UpTo: upTo, Limit: limit, Bytes: pageBytes})
}

// turnLimit is how many documents a turn visits: what its slot may rewrite within some
// two seconds.
func (s *session) turnLimit() int {
	share := 2 * s.governor.PerSecond() / float64(s.o.AtOnce)
	return int(min(max(1, share), float64(s.o.Page)))
}

// chunk is how many documents are rewritten at once: few enough for everybody who
// waits for the governor to come on within a second.
func (s *session) chunk() int {
	return int(min(max(1, s.governor.PerSecond()/float64(s.o.AtOnce)), atOnce))
}

// visit rewrites the next n documents of a part's page.
func (s *session) visit(j *job, p *part, n int) error {
	if err := s.governor.Wait(s.ctx, n); err != nil {
		return err
	}
	records := p.page[:n]
	written, err := s.rewrite(records)
	s.telemetry.written(s.ctx, written)
	s.mu.Lock()
	defer s.mu.Unlock()
	progress := &j.stored.Entry.Rewriting
	progress.Written += int64(written)
	j.unsaved = true
	if beyondUs(err) {
		j.unread, err = err, nil // it holds up the end, and no other document
	}
	if err != nil {
		return err
	}
	p.now, p.page = records[n-1].Document, p.page[n:]
	progress.Passed += int64(n)
	s.meter.visited(len(records))
	s.telemetry.at(s.leftLocked())
	if time.Since(j.logged) >= logEvery {
		j.logged = time.Now()
		j.logger.Info("rewriting goes on", "documents", progress.Total, "passed", progress.Passed,
			"written", progress.Written, "last_pass", progress.Last)
	}
	return nil
}

// rewrite rewrites records. Of several that make the store panic, each is tried
// alone: what does not cause it is rewritten.
func (s *session) rewrite(records []ownership.Record) (written int, err error) {
	written, err = s.rewriteTogether(records)
	var panicked *ownership.PanicError
	if !errors.As(err, &panicked) || len(records) == 1 {
		return written, err
	}
	var unread error
	for i := range records {
		n, err := s.rewriteTogether(records[i : i+1])
		written += n
		if err != nil && !beyondUs(err) {
			return written, err
		}
		unread = cmp.Or(unread, err)
	}
	return written, unread
}

func (s *session) rewriteTogether(records []ownership.Record) (written int, err error) {
	defer recovered(&err)
	ctx, cancel := context.WithTimeout(s.commits, callTimeout)
	defer cancel()
	return s.store.Rewrite(ctx, records)
}
