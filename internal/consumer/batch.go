package consumer

import "time"

// batch gathers messages for one call of Store.Apply.
type batch struct {
	works   []*work
	changes int
	bytes   int64
}

func (b *batch) add(w *work) {
	b.works = append(b.works, w)
	b.changes += len(w.Changes)
	b.bytes += w.size
}

// batches folds a lane's queue into batches, and starts an applier for each. It
// ends with Run.
func (c *Consumer) batches(l *lane) {
	var (
		next     batch
		overflow *work // did not fit into next, which is full then
		lingered bool
	)
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		full := overflow != nil || next.changes >= c.opts.BatchChanges || next.bytes >= c.opts.BatchBytes
		in, slots := l.queue, l.slots
		if full {
			in = nil
		}
		// Nothing in flight and nothing queued: waiting would gain nothing.
		alone := len(l.slots) == 0 && len(l.queue) == 0
		if len(next.works) == 0 || !full && !lingered && !alone {
			slots = nil
		}
		select {
		case w := <-in:
			switch {
			case len(next.works) == 0:
				linger.Reset(c.opts.Linger)
				lingered = false
				next.add(w)
			case c.fits(next, w):
				next.add(w)
			default:
				overflow = w
			}
		case slots <- struct{}{}:
			go c.apply(l, next.works)
			next = batch{}
			if overflow != nil {
				linger.Reset(c.opts.Linger)
				lingered = false
				next.add(overflow)
				overflow = nil
			}
		case <-linger.C:
			lingered = true
		case <-l.freed: // look again whether anything is in flight
		case <-c.killed.Done():
			if overflow != nil {
				next.add(overflow)
			}
			c.abandon(l, next.works)
			return
		}
	}
}

func (c *Consumer) fits(b batch, w *work) bool {
	return b.changes+len(w.Changes) <= c.opts.BatchChanges && b.bytes+w.size <= c.opts.BatchBytes
}

// abandon gives back what no applier has taken, and what still comes.
func (c *Consumer) abandon(l *lane, works []*work) {
	c.nackDraining(works...)
	for {
		select {
		case w := <-l.queue:
			c.nackDraining(w)
		case <-c.over:
			return
		}
	}
}
