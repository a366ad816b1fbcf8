package ownership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Format is the highest format of stored documents that this version
// understands. Each document says the least format that a reader needs for it:
// one that holds nothing new says what the release before said, so that
// processes of both go on with it side by side (docs/upgrades.md).
//
// Format 1 is the first that documents say. Those of commit 1571751 say none, and
// must be brought over (ErrNotUpgraded). Format 2 brings entries of the change
// feed that name several resources, format 3 the tombstones of deleted resources.
const Format = 3

// entryFormats is the format since which each type of entry is there. A release
// that brings a type gives it a format of its own, and raises Format to it.
var entryFormats = map[EntryType]int64{Claimed: 1, Created: 1, Moved: 1, Asserted: 1, Deleted: 3}

// Known reports whether this version knows the type of entry.
func (t EntryType) Known() bool { return entryFormats[t] != 0 }

// Format is the least format that a reader needs to understand the history.
func (h History) Format() int64 {
	least := int64(1)
	for _, e := range h {
		least = max(least, entryFormats[e.Type])
	}
	return least
}

// CheckFormat returns why a document of a format is not understood; nil if
// it is.
func CheckFormat(format int64) error {
	if format < 0 || format > Format {
		return fmt.Errorf("its format is %d, and this version knows those up to %d", format, Format)
	}
	return nil
}

// TooNew is the error for a document that is not understood: of a later format,
// with an entry of an unknown type, or unreadable. It wraps ErrTooNew and
// ErrUnavailable, names the document, and says what to do.
func TooNew(document string, why error) error {
	return tooNew(document, why, "fix the document")
}

// TooNewMove is TooNew for an entry of the ledger. Processes keep in memory what
// they know of the ledger, so an operator who fixes an entry by hand restarts them.
func TooNewMove(document string, why error) error {
	return tooNew(document, why, "stop every process, fix the document, and start them again")
}

func tooNew(document string, why error, mend string) error {
	advice := ": use the release that wrote it; if none did, " + mend
	if errors.Is(why, registry.ErrNotUpgraded) {
		advice = ""
	}
	return fmt.Errorf("document %s: %w, %w: %w%s (docs/upgrades.md)", document, registry.ErrUnavailable, registry.ErrTooNew, why, advice)
}

// UnreadRecord is the record of a document that is not understood. Nothing is
// known of its history, so it has no owner, and takes no entries.
func UnreadRecord(r Record, format int64, why error) Record {
	r.History, r.Plain, r.Format = nil, false, format
	r.Unread = TooNew(r.Document, why)
	return r
}

// Unfoldable returns why the owner of the record cannot be told: the record is
// not understood, or an entry of the ledger with which it would have to be
// folded is not. Else it is nil. The error wraps ErrTooNew and ErrUnavailable.
func (r Record) Unfoldable(l *Ledger) error {
	if r.Unread != nil {
		return r.Unread
	}
	return l.Unfoldable(r.History)
}

// Unread returns the entries that are not understood.
func (l *Ledger) Unread() []LedgerEntry {
	if l == nil {
		return nil
	}
	return l.unread
}

// Blocked returns why no history at all can be folded with the ledger: an entry
// that is not understood, and may concern any tenant.
func (l *Ledger) Blocked() error {
	for _, e := range l.Unread() {
		if e.From == "" {
			return e.Unread
		}
	}
	return nil
}

// Unfoldable returns why a history cannot be folded with the ledger, nil if
// it can. An entry that is not understood may be anything, so it stops every
// fold, that of an empty history too. If it is of a known format and the tenant
// that it moves from can be read, it stops the folds that pass through that
// tenant alone: it has no effect on others, whatever its time and its
// destination.
func (l *Ledger) Unfoldable(h History) error {
	if l == nil || len(l.unread) == 0 {
		return nil
	}
	if err := l.Blocked(); err != nil {
		return err
	}
	for _, owner := range h.Path(l) {
		if err := l.stopped(owner); err != nil {
			return err
		}
	}
	return nil
}

// stopped returns why a fold cannot go on from an owner.
func (l *Ledger) stopped(owner string) error {
	if l == nil {
		return nil
	}
	i := slices.IndexFunc(l.unread, func(e LedgerEntry) bool { return e.From == "" || e.From == owner })
	if i < 0 {
		return nil
	}
	return l.unread[i].Unread
}
