package simulation

import (
	"context"
	"maps"
	"path"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// Rules are those of design §4 and §6 to leave out, one at a time, to show that
// the simulation would notice. They are left out at the gate: the code that runs
// is as it ships, and the database does what it would have asked for without the
// rule.
type Rules struct {
	// Feed: a change feed entry is written only if the document's tenant_id
	// changes.
	Feed bool
	// ClaimFeed: a claim that joins a history carries no change feed entry.
	ClaimFeed bool
	// PathQuery: a job looks for documents by tenant_id only.
	PathQuery bool
	// PathWrite: a document is rewritten only if its tenant_id differs.
	PathWrite bool
	// Fresh: jobs are done with the ledger that was read when the first of them was
	// found.
	Fresh bool
	// Lease: everybody has the lease of rewriting. This one does no harm: what it is
	// for is the rate (docs/moves.md).
	Lease bool
	// LastPass: a job ends with a pass that began as soon as it could.
	LastPass bool
	// Deadline: a commit may come however long after the ledger was certified that
	// it was folded with.
	Deadline bool
	// Overlap: the change feed is read from the time of the read before, and counted
	// as of that time.
	Overlap bool
	// Epoch: nobody looks at the head's epoch.
	Epoch bool
}

// jobLeftOut is what a rewriter has for rules that are left out.
type jobLeftOut struct {
	looking bool
	head    *docdb.Document // when its session began
}

// leaveOut makes a call, without the rules that are left out.
func (s *registryWorld) leaveOut(p *process, c *docdbtest.Call, do func() error) error {
	switch c.Method {
	case "Commit":
		c.Writes = s.withoutNotices(c.Writes)
		if s.plan.Rules.Lease {
			c.Writes = withoutLease(c.Writes)
		}
	case "BatchWrite":
		if s.plan.Rules.PathWrite && p.role == "rewriter" {
			return s.writeOwners(c, do)
		}
	case "Count":
		if s.plan.Rules.Overlap && c.Query.Collection == regstore.FeedCollection {
			withoutOverlap(c)
		}
	case "Query":
		return s.query(p, c, do)
	case "Get":
		err := do()
		if s.plan.Rules.Lease {
			delete(c.Found, s.db.Name(regstore.LedgerCollection, "rewriting"))
		}
		if s.plan.Rules.Epoch {
			withoutEpoch(c, s.db.Name(regstore.LedgerCollection, "head"))
		}
		if s.plan.Rules.Fresh {
			p.freeze(c, s.db.Name(regstore.LedgerCollection, "head"))
		}
		return err
	}
	return do()
}

func (s *registryWorld) stored(name string) *docdb.Document {
	found, _, _ := s.db.Get(context.Background(), []string{name})
	return found[name]
}

// withoutNotices are writes without the feed entries that are left out.
func (s *registryWorld) withoutNotices(writes []docdb.Write) []docdb.Write {
	if !s.plan.Rules.Feed && !s.plan.Rules.ClaimFeed {
		return writes
	}
	omitted := map[string]bool{} // ids of documents
	for _, w := range writes {
		before := s.stored(w.Name).GetFields()
		moved := w.Fields["tenant_id"].GetStringValue() != before["tenant_id"].GetStringValue()
		joined := claimed(w.Fields) && !claimed(before)
		omitted[path.Base(w.Name)] = s.plan.Rules.Feed && !moved || s.plan.Rules.ClaimFeed && joined
	}
	var left []docdb.Write
	for _, w := range writes {
		if path.Dir(w.Name) == regstore.FeedCollection && !withoutNames(&w, omitted) {
			continue
		}
		left = append(left, w)
	}
	return left
}

// withoutNames takes names out of a feed entry, and reports whether any are left.
func withoutNames(w *docdb.Write, omitted map[string]bool) bool {
	if one, ok := w.Fields["resource"]; ok {
		return !omitted[one.GetStringValue()]
	}
	var left []*docdb.Value
	for _, name := range w.Fields["resources"].GetArrayValue().GetValues() {
		if !omitted[name.GetStringValue()] {
			left = append(left, name)
		}
	}
	w.Fields = maps.Clone(w.Fields)
	w.Fields["resources"] = docdb.Array(left)
	return len(left) > 0
}

func claimed(fields map[string]*docdb.Value) bool {
	return slices.ContainsFunc(fields["history"].GetArrayValue().GetValues(), func(v *docdb.Value) bool {
		return v.GetMapValue().GetFields()["type"].GetStringValue() == string(ownership.Claimed)
	})
}

// withoutLease lets everybody have the lease.
func withoutLease(writes []docdb.Write) []docdb.Write {
	writes = slices.Clone(writes)
	for i, w := range writes {
		if path.Base(w.Name) == "rewriting" {
			writes[i].If = docdb.Condition{}
		}
	}
	return writes
}

// writeOwners makes those writes alone that change a tenant_id.
func (s *registryWorld) writeOwners(c *docdbtest.Call, do func() error) error {
	all, made := c.Writes, []int{}
	c.Writes = nil
	for i, w := range all {
		if w.Fields["tenant_id"].GetStringValue() != s.stored(w.Name).GetFields()["tenant_id"].GetStringValue() {
			c.Writes, made = append(c.Writes, w), append(made, i)
		}
	}
	var err error
	if len(c.Writes) > 0 {
		err = do()
	}
	results := make([]codes.Code, len(all))
	for j, i := range made {
		if err == nil {
			results[i] = c.Codes[j]
		}
	}
	c.Writes, c.Codes = all, results
	return err
}

func (s *registryWorld) query(p *process, c *docdbtest.Call, do func() error) error {
	switch {
	case c.Query.OrderBy == "pending":
		if c.Query.Any[0].Value.GetIntegerValue() == 0 && c.Query.Limit == 1 {
			p.job.looking = true // for the first one
		}
	case s.plan.Rules.PathQuery && c.Query.Collection == regstore.Collection:
		c.Query.Any = slices.DeleteFunc(slices.Clone(c.Query.Any), func(f docdb.Filter) bool { return f.Field == "path" })
	case s.plan.Rules.Overlap && c.Query.Collection == regstore.FeedCollection:
		withoutOverlap(c)
	}
	return do()
}

// withoutOverlap has the feed read, or counted, as if nothing had been committed
// since the read before that has a time from before it.
func withoutOverlap(c *docdbtest.Call) {
	c.Query.All = slices.Clone(c.Query.All)
	i := slices.IndexFunc(c.Query.All, func(f docdb.Filter) bool { return f.Op == docdb.AtLeast })
	if i < 0 { // an erasure searches all of it
		return
	}
	before := c.Query.All[i].Value.GetTimestampValue().AsTime().Add(regstore.CommitDeadline + time.Second)
	switch {
	case before.After(c.Query.At): // it begins later than the overlap
	case c.Method == "Count":
		c.Query.At = before
	default:
		c.Query.All[i].Value = docdb.Timestamp(before)
	}
}

// withoutEpoch shows the ledger's head without its epoch.
func withoutEpoch(c *docdbtest.Call, name string) {
	if head := c.Found[name]; head != nil {
		fields := maps.Clone(head.Fields)
		delete(fields, "epoch")
		c.Found[name] = &docdb.Document{Name: head.Name, Fields: fields, UpdateTime: head.UpdateTime}
	}
}

// freeze shows a rewriter the ledger's head as it was when its session began.
func (p *process) freeze(c *docdbtest.Call, name string) {
	switch head := c.Found[name]; {
	case p.role != "rewriter" || head == nil:
	case p.job.looking || p.job.head == nil:
		p.job = jobLeftOut{head: head}
	default:
		c.Found[name] = p.job.head
	}
}

// hasty is a store that does not wait for other writers.
type hasty struct{ ownership.Rewriter }

func (hasty) WriterHorizon() time.Duration { return 0 }
