package judge

import "time"

// What a process may use after the trouble beside what it used before: twice as much,
// and a little that does not count.
const (
	moreGoroutines  = 100
	moreDescriptors = 50
	moreBytes       = 64 << 20
)

// judgeAfter: once the trouble is over, the backlog is gone within its bound, and
// processes use what they used before.
func (v *Verdict) judgeAfter(h *History, b Bounds) {
	calm := calmAt(h)
	if calm == never {
		v.violation("the history is whole", "it ends in the middle of the trouble")
		return
	}
	settled := never
	for r := range h.of(Settled) {
		settled = min(settled, r.At)
	}
	if settled-calm > ms(b.Settle) {
		after := "never"
		if settled < never {
			after = "after " + time.Duration(settled-calm).String()
		}
		v.violation("the backlog is gone after the trouble", "%s, and not within %d ms", after, b.Settle)
	}
	before := map[string]Record{}
	for s := range h.of(Sample) {
		if s.Kind == "before" {
			before[s.Of] = s
			continue
		}
		v.Judged["processes whose use was compared"]++
		was := before[s.Of]
		v.back(s, "goroutines", s.Goroutines, was.Goroutines, moreGoroutines)
		v.back(s, "descriptors", s.Descriptors, was.Descriptors, moreDescriptors)
		v.back(s, "bytes of memory", s.Bytes, was.Bytes, moreBytes)
	}
}

func (v *Verdict) back(s Record, what string, now, before, more int64) {
	if before > 0 && now > 2*before+more {
		v.violation("processes use what they used before the trouble", "%s has %d %s, and had %d", s.Of, now, what, before)
	}
}
