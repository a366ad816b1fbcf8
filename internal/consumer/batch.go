package consumer

import "time"

// Batch gathers work for one call of Store.Apply. A Consumer and a replay of archives
// cut their batches by the same bounds.
type Batch[W interface{ Weight() Weight }] struct {
	Works []W
	Weight
}

// Weight is how much of a batch some work takes, or how much a batch may hold.
type Weight struct {
	Changes int
	Bytes   int64
}

// UsualBatch is what a batch may hold by default.
var UsualBatch = Weight{Changes: 500, Bytes: 4 << 20}

// Add adds work.
func (b *Batch[W]) Add(w W) {
	b.Works = append(b.Works, w)
	b.Changes += w.Weight().Changes
	b.Bytes += w.Weight().Bytes
}

// Fits reports whether the work may join the batch. The first always may, however
// large it is.
func (b *Batch[W]) Fits(w W, most Weight) bool {
	more := w.Weight()
	return len(b.Works) == 0 || b.Changes+more.Changes <= most.Changes && b.Bytes+more.Bytes <= most.Bytes
}

// Full reports whether nothing more fits.
func (b *Batch[W]) Full(most Weight) bool {
	return b.Changes >= most.Changes || b.Bytes >= most.Bytes
}

// batches folds a lane's queue into batches, and starts an applier for each. It
// ends with Run.
func (c *Consumer) batches(l *lane) {
	var (
		most     = Weight{c.opts.BatchChanges, c.opts.BatchBytes}
		next     Batch[*work]
		overflow *work // did not fit into next, which is full then
		lingered bool
	)
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		full := overflow != nil || next.Full(most)
		in, slots := l.queue, l.slots
		if full {
			in = nil
		}
		// Nothing in flight and nothing queued: waiting would gain nothing.
		alone := len(l.slots) == 0 && len(l.queue) == 0
		if len(next.Works) == 0 || !full && !lingered && !alone {
			slots = nil
		}
		select {
		case w := <-in:
			switch {
			case len(next.Works) == 0:
				linger.Reset(c.opts.Linger)
				lingered = false
				next.Add(w)
			case next.Fits(w, most):
				next.Add(w)
			default:
				overflow = w
			}
		case slots <- struct{}{}:
			go c.apply(l, next.Works)
			next = Batch[*work]{}
			if overflow != nil {
				linger.Reset(c.opts.Linger)
				lingered = false
				next.Add(overflow)
				overflow = nil
			}
		case <-linger.C:
			lingered = true
		case <-l.freed: // look again whether anything is in flight
		case <-c.killed.Done():
			if overflow != nil {
				next.Add(overflow)
			}
			c.abandon(l, next.Works)
			return
		}
	}
}

// abandon nacks what no applier has taken, and what still arrives.
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
