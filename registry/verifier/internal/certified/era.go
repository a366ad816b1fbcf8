package certified

import "github.com/northstar-engines/realtime-registry/internal/ownership"

// era is the time in which ledgers are of one epoch: their positions can be compared.
// Eras have numbers, since a number takes no room in an entry. Whoever recovers the
// registry ends an era, and with it all that is kept.
type era struct {
	number uint32
	begun  bool // the epoch is known
	epoch  string
}

// eraOf returns the number of the era, and reports whether a ledger is of its epoch. The
// first ledger that there is begins it.
func (t *table) eraOf(l *ownership.Ledger) (number uint32, ok bool) {
	for {
		now := t.era.Load()
		if now.begun || l == nil {
			return now.number, l == nil || l.Epoch() == now.epoch
		}
		if t.era.CompareAndSwap(now, &era{now.number, true, l.Epoch()}) {
			return now.number, true
		}
	}
}

// beginEra ends the era with which everything that is kept has gone, and returns the
// number of the one that begins with a ledger. There must be no certificate: entries of
// the new era may come at once, and must not be folded with a ledger of the old one.
func (t *table) beginEra(l *ownership.Ledger) (number uint32) {
	number = t.era.Load().number + 1
	t.era.Store(&era{number, true, l.Epoch()})
	return number
}
