package ownership

// Loading makes a ledger of moves that come in parts. It keeps no more of them than
// the ledger will.
type Loading struct{ packed []*packedMove }

// Add takes moves, of which no two have one name, or the one with the later position
// counts.
func (l *Loading) Add(moves []Move) { l.packed = append(l.packed, pack(moves)...) }

// Join takes what another one has, to which nothing may be added any more.
func (l *Loading) Join(other *Loading) { l.packed = append(l.packed, other.packed...) }

// Ledger returns the ledger at a position, with entries that are not understood.
// Nothing may be added any more.
func (l *Loading) Ledger(position int64, unread []LedgerEntry) *Ledger {
	return (*Ledger)(nil).with(position, l.packed, unread)
}

// WithLoaded is With for what was loaded.
func (l *Ledger) WithLoaded(position int64, changed *Loading, unread []LedgerEntry) *Ledger {
	return l.with(position, changed.packed, unread)
}
