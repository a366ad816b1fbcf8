package limits

import (
	"math"
	"time"
)

// Window is one fixed window of a key, as its document holds it. A window is
// (LastReset, Length, Limit), whatever the policy says meanwhile: a changed
// policy starts with the next window (design §7, rule 1).
type Window struct {
	// LastReset is when the window began, in seconds since 1970 by the store's
	// clock. Microseconds fit into the float64; windows are the same window
	// if it is bit for bit equal, and Generation too.
	LastReset float64
	// Count is the units that were reserved: spent, held by processes, or lost
	// with them.
	Count int64
	// Length and Limit are zero in a document that the Python service wrote, and
	// after a reset: the policy's count then.
	Length time.Duration
	Limit  int64
	// Generation changes with every reset by an operator; zero before the first.
	Generation int64
	// Sharing is what the processes that write this window tell one another. Zero
	// if others wrote it last: the Python service, or an older release.
	Sharing Sharing
}

// WindowID tells windows of one key apart.
type WindowID struct {
	LastReset  float64
	Length     time.Duration
	Generation int64
}

// ID returns the window's identity.
func (w Window) ID() WindowID { return WindowID{w.LastReset, w.Length, w.Generation} }

// Left returns how long after server time t the window ends; zero or less if it
// has ended.
func (w Window) Left(t time.Time) time.Duration {
	left := w.Length.Seconds() - (UnixSeconds(t) - w.LastReset)
	return time.Duration(math.Round(left*1e6)) * time.Microsecond
}

// Remaining returns the units that are not reserved.
func (w Window) Remaining() int64 { return max(0, w.Limit-w.Count) }

// At returns the window that holds at readTime, the store's time of the read
// that returned w: w itself, or the next one, with nothing counted (design §7,
// rule 2). What w lacks is filled in from the policy.
//
// A LastReset in the future, by another program's clock, counts as readTime and
// keeps its count. One that is a whole length ahead, or not a number, cannot be the
// beginning of a window: a new window begins, since nothing else would end this
// one. A negative count counts as zero.
func (w Window) At(readTime time.Time, p Policy) Window {
	if w.Length <= 0 || w.Limit <= 0 {
		w.Length, w.Limit = p.Window, p.Limit
	}
	w.Count = max(0, w.Count)
	now := UnixSeconds(readTime)
	switch elapsed := now - w.LastReset; {
	case !(math.Abs(elapsed) < w.Length.Seconds()-0.5e-6): // NaN too; the grain changes in 2038, and must not decide
		return p.NewWindow(now, w.Generation)
	case elapsed < 0:
		w.LastReset, w.Sharing = now, Sharing{}
	}
	return w
}

// unixSeconds is t in the unit of last_reset: microseconds as a float64, which
// has a grain of a quarter of a microsecond there.
func UnixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
