package certified

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// certificate says that everything committed before since is in the ledger, or has
// been taken out of the cache. It never changes.
type certificate struct {
	since  time.Time // before the confirming read was sent
	ledger *ownership.Ledger

	// generation numbers the ledgers: certificates in a row have the same one as
	// long as the ledger is the same. It begins at 1.
	generation uint64
	era        uint32 // of the ledger
}

// valid reports whether the certificate is not older than maxStaleness, by the
// monotonic clock and by the wall clock: the first stands still while a machine is
// suspended, and the second may be set back. A nil certificate is never valid.
func (c *certificate) valid(now time.Time, maxStaleness time.Duration) bool {
	return c != nil && now.Sub(c.since) <= maxStaleness && now.UnixNano()-c.since.UnixNano() <= int64(maxStaleness)
}

// suspended reports whether the machine stood still between two times: then the
// ages of cached entries, which the monotonic clock counts, are wrong.
func suspended(from, to time.Time) bool {
	const skew = 500 * time.Millisecond
	return to.Round(0).Sub(from.Round(0))-to.Sub(from) > skew
}

// Told returns the time up to which everything has been reported: every change
// committed before it has reached the subscribers by Changed or Dropped. ok is
// false if there is no certificate, or it is too old.
func (c *Cache) Told(now time.Time) (since time.Duration, ok bool) {
	cert := c.certifier.told.Load()
	if cert == nil {
		return 0, false
	}
	return c.Elapsed(cert.since), cert.valid(now, c.certifier.maxStaleness)
}
