package ownership

// Latest returns the entries that changed last, at most n, the latest change first:
// of one tenant those that move to it or from it, of "" all. What is not understood
// comes first, since it may concern anybody. It looks at every entry until it has n,
// and reads nothing: Rewriting is as it was when the entry was read.
func (l *Ledger) Latest(n int, tenant string) []LedgerEntry {
	if l == nil || n <= 0 {
		return nil
	}
	var latest []LedgerEntry
	for _, e := range l.unread {
		if len(latest) < n && (tenant == "" || e.From == "" || e.From == tenant || e.To == tenant) {
			latest = append(latest, e)
		}
	}
	l.entries.byPosition.Reverse(func(e *LedgerEntry) bool {
		if tenant == "" || e.From == tenant || e.To == tenant {
			latest = append(latest, *e)
		}
		return len(latest) < n
	})
	return latest[:min(n, len(latest))]
}
