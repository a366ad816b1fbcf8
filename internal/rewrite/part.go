package rewrite

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	now, upTo     string // up to where it has come, and where it ends ("": with the last document)
	pages         int    // since it was cut
	busy, cutting bool
	done          bool
}

func partsOf(ranges []ownership.Range) (parts []*part) {
	for _, r := range ranges {
		parts = append(parts, &part{now: r.After, upTo: r.UpTo})
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

// partToCut returns a part that is at work and may have much left; nil if there is
// none. One that was just cut has first to show that there is more than a page in it.
func (j *job) partToCut() *part {
	if j.failed != nil {
		return nil
	}
	for _, p := range j.parts {
		if p.busy && !p.cutting && p.pages > 0 {
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

// cut gives the second half of what a part has to visit to a new one.
func (s *session) cut(j *job, p *part) error {
	for range cutAttempts {
		s.mu.Lock()
		after, upTo := p.now, p.upTo
		s.mu.Unlock()
		middle, ok := ownership.NameBetween(after, upTo)
		if !ok {
			break
		}
		found, _, err := s.read(j, middle, upTo, 1)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if p.done || p.now >= middle || p.upTo != upTo { // it has moved on
			s.mu.Unlock()
			return nil
		}
		p.upTo = middle
		if len(found) > 0 {
			j.parts = slices.Insert(j.parts, slices.Index(j.parts, p)+1, &part{now: middle, upTo: upTo})
			p.pages = 0
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.pages = 0
	return nil
}

// page visits the next documents of a part.
func (s *session) page(j *job, p *part) (read int, err error) {
	s.mu.Lock()
	after, upTo := p.now, p.upTo
	s.mu.Unlock()
	records, more, err := s.read(j, after, upTo, s.pageLimit())
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	j.stored.Entry.Rewriting.Read += int64(len(records))
	s.mu.Unlock()
	s.telemetry.read(s.ctx, len(records))
	for rest, whole := records, false; len(rest) > 0 && !whole; {
		n := min(len(rest), s.chunk())
		if whole, err = s.visit(j, p, rest[:n]); err != nil {
			return len(records), err
		}
		if s.saveIsDue(j) {
			if err := s.save(j); err != nil {
				return len(records), err
			}
		}
		rest = rest[n:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.pages++
	p.done = p.done || !more
	return len(records), nil
}

// read returns some affected documents between two names.
func (s *session) read(j *job, after, upTo string, limit int) (records []ownership.Record, more bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	return s.store.Affected(ctx, ownership.Page{Tenants: j.stored.Entry.Rewriting.Tenants, After: after, UpTo: upTo, Limit: limit, Bytes: pageBytes})
}

// pageLimit is how many documents a turn reads: what its slot may rewrite within some
// two seconds.
func (s *session) pageLimit() int {
	share := 2 * s.governor.PerSecond() / float64(s.o.AtOnce)
	return int(min(max(1, share), float64(s.o.Page)))
}

// chunk is how many documents are rewritten at once: few enough for everybody who
// waits for the governor to come on within a second.
func (s *session) chunk() int {
	return int(min(max(1, s.governor.PerSecond()/float64(s.o.AtOnce)), atOnce))
}

// visit rewrites some documents of a part, and notes that they are done. whole
// reports whether the part is.
func (s *session) visit(j *job, p *part, records []ownership.Record) (whole bool, err error) {
	if err := s.governor.Wait(s.ctx, len(records)); err != nil {
		return false, err
	}
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
		return false, err
	}
	for _, r := range records {
		if p.done = p.upTo != "" && r.Document > p.upTo; p.done { // another part counts it
			break
		}
		p.now = r.Document
		progress.Passed++
	}
	s.meter.visited(len(records))
	s.telemetry.at(s.leftLocked())
	if time.Since(j.logged) >= logEvery {
		j.logged = time.Now()
		j.logger.Info("rewriting goes on", "documents", progress.Total, "passed", progress.Passed,
			"written", progress.Written, "last_pass", progress.Last)
	}
	return p.done, nil
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
