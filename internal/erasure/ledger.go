package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// begin has the ledger say that the tenant was erased. since is a time, by this
// process's clock, from which on no process reads a ledger that does not say so.
func (e Eraser) begin(ctx context.Context, tenant, by, reason string) (f ownership.Forget, since time.Time, err error) {
	switch {
	case ownership.IsPseudonym(tenant):
		return f, since, fmt.Errorf("%w: %s", ErrPseudonym, tenant)
	case ownership.Names(by, tenant) || ownership.Names(reason, tenant):
		return f, since, errors.New("who does it, and why, is kept, and must not name the tenant")
	}
	plan, err := e.Plan(ctx, tenant)
	switch {
	case err != nil:
		return f, since, err
	case !plan.Known && !e.Unknown:
		return f, since, fmt.Errorf("%w: %s", ErrUnknown, tenant)
	case len(plan.Pending) > 0:
		return f, since, fmt.Errorf("%w: %q: wait until it has (moves verify --wait), or have it resumed", ErrPending, plan.Pending)
	}
	key, err := e.key(ctx, by)
	if err != nil {
		return f, since, err
	}
	if err := e.change(ctx, []ownership.LedgerChange{key.BeginErasure(tenant, by, reason)}); err != nil {
		return f, since, err
	}
	since = time.Now()
	f = ownership.Forget{Tenant: tenant, Pseudonym: key.Pseudonym(tenant), Key: key}
	entries, err := e.Store.MovesNamed(ctx, []ownership.EventName{key.EntryOf(tenant)})
	if err != nil {
		return f, since, err
	}
	if len(entries) == 0 || !entries[0].Retracted() {
		return f, since, errors.New("the ledger's entry of the erasure is gone")
	}
	f.At = entries[0].Retractions[0].At
	return f, since, nil
}

// key returns the registry's key, and makes one if there is none.
func (e Eraser) key(ctx context.Context, by string) (ownership.ErasureKey, error) {
	for range 2 {
		now, err := e.Store.Read(ctx, nil)
		if err != nil {
			return "", err
		}
		if keys := now.Ledger.ErasureKeys(); len(keys) > 0 {
			return keys[0], nil
		}
		name := ownership.NewErasureKey().Entry()
		made := ownership.Retraction(ownership.Version{Source: name.Source, ID: name.ID}, by, "").Entry.LedgerChange()
		if err := e.change(ctx, []ownership.LedgerChange{made}); err != nil {
			return "", err
		}
	}
	return "", errors.New("the ledger does not have the key that was written to it")
}

// mostChanges is how many changes of the ledger are made at once.
const mostChanges = 200

func (e Eraser) change(ctx context.Context, changes []ownership.LedgerChange) (err error) {
	for len(changes) > 0 && err == nil {
		n := min(len(changes), mostChanges)
		for _, o := range e.Store.ChangeLedger(ctx, changes[:n]) {
			err = cmp.Or(err, o.Err)
			if o.Kind == ownership.HistoryFull || o.Kind == ownership.Conflict {
				err = cmp.Or(err, errors.New(o.Detail))
			}
		}
		changes = changes[n:]
	}
	return err
}

// named returns the entries of the ledger that name a tenant, and those whose documents
// have not followed yet.
func (e Eraser) named(ctx context.Context, tenant string) (found, pending []ownership.LedgerEntry, err error) {
	read := int64(0)
	e.tell(ReadLedger, read, -1)
	err = e.Store.EachMove(ctx, time.Time{}, func(m ownership.LedgerEntry) error {
		read++
		e.tell(ReadLedger, read, -1)
		if m.Unread != nil {
			return m.Unread
		}
		if m.Named(tenant) && !m.OfErasure() {
			found = append(found, m)
		}
		if m.Rewriting.Pending() {
			pending = append(pending, m)
		}
		return nil
	})
	return found, pending, err
}

// waitedFor returns the ids of those of the entries whose documents may be the tenant's,
// and may not say so yet: entries that name it, and such as have moved, or given back,
// what other moves bring to it.
func waitedFor(pending []ownership.LedgerEntry, l *ownership.Ledger, tenant string) (ids []string) {
	if len(pending) == 0 {
		return nil
	}
	leading := l.Leading(tenant)
	for _, m := range pending {
		if m.Named(tenant) || slices.ContainsFunc(m.Rewriting.Tenants, func(t string) bool { return leading[t] }) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// ledger gives the moves the new name too. No document has the old one any more, and no
// process writes it.
func (e Eraser) ledger(ctx context.Context, f ownership.Forget, r *Report) error {
	moves, _, err := e.named(ctx, f.Tenant)
	if err != nil {
		return err
	}
	e.tell(Moves, 0, int64(len(moves)))
	var emptied []ownership.EventName
	for i, m := range moves {
		changes, empty := m.Rename(f.Tenant, f.Pseudonym)
		if err := e.change(ctx, changes); err != nil {
			return err
		}
		if empty {
			emptied = append(emptied, m.EventName())
		}
		r.Moves++
		e.tell(Moves, int64(i+1), int64(len(moves)))
	}
	if len(emptied) > 0 { // processes that know such a move learn under its name that it does not count
		if err := e.wait(ctx, e.Store.WriterHorizon()); err != nil {
			return err
		}
	}
	for _, name := range emptied {
		if err := e.Store.Empty(ctx, name); err != nil {
			return err
		}
	}
	if err := e.change(ctx, []ownership.LedgerChange{f.Key.EndErasure(f.Tenant)}); err != nil {
		return err
	}
	return e.Store.DropSnapshot(ctx)
}
