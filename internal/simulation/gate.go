package simulation

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// answer is the step after a write was made: who fails there does not learn that it
// happened.
const answer = "answer"

// arrival is the step after a reader has read: what it has seen may be old when it
// takes the answer.
const arrival = "arrival"

// gate is the database as a process has it.
func (s *simulation) gate(p *process) docdb.DB {
	return docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
		ctx := c.Context
		if s.plan.Rules.Deadline && len(c.Writes) > 0 {
			ctx, c.Context = p.ctx, p.ctx
		}
		s.stamp(p, c.Writes)
		about := key(c)
		if err := answered(s.stands(ctx, p, c.Method, about)); err != nil {
			return err
		}
		if c.Method == "Listen" {
			s.deafen(p, c)
			return do()
		}
		err := s.world.call(p, c, do)
		if len(c.Writes) == 0 {
			if err == nil && c.Method == "Get" && p.role == "reader" {
				return answered(s.stands(ctx, p, arrival, about))
			}
			return err
		}
		s.countRaces(c, err)
		if err != nil {
			return err
		}
		if s.world.wrote(p, c); s.isCalm() {
			return nil
		}
		return answered(s.stands(ctx, p, answer, about))
	})
}

// answered is what a caller is told.
func answered(how stepping) error {
	switch how {
	case fails:
		return status.Error(codes.Unavailable, "the store is down")
	case isKilled:
		return status.Error(codes.Unavailable, "the process was killed")
	}
	return nil
}

// key names what a call is about, except random names, so that calls of one
// process that stand at once have an order.
func key(c *docdbtest.Call) string {
	var b strings.Builder
	b.WriteString(c.Method)
	for _, name := range c.Names {
		b.WriteString(" " + name)
	}
	for _, w := range c.Writes {
		if c := path.Dir(w.Name); c != regstore.FeedCollection && c != regstore.OutboxCollection {
			b.WriteString(" " + w.Name)
		}
	}
	b.WriteString(" " + c.Query.Collection + " " + c.Query.OrderBy)
	for _, f := range c.Query.All {
		b.WriteString(" " + f.Value.GetTimestampValue().AsTime().Format(time.RFC3339Nano))
	}
	return b.String()
}

// expiresAt is the field of the TTL policies.
const expiresAt = "expires_at"

// stamp sets times that are those of the request, and those that are by the
// process's clock.
func (s *simulation) stamp(p *process, writes []docdb.Write) {
	for i, w := range writes {
		for _, field := range w.Times {
			if strings.Contains(field, ".") || w.Mask != nil && !w.If.Absent {
				continue // nothing rests on these
			}
			fields := maps.Clone(w.Fields)
			fields[field] = docdb.Timestamp(s.now())
			writes[i].Fields, writes[i].Times = fields, nil
		}
		if path.Dir(w.Name) == regstore.FeedCollection && !docdb.Missing(w.Fields[expiresAt]) {
			fields := maps.Clone(writes[i].Fields)
			fields[expiresAt] = docdb.Timestamp(fields[expiresAt].GetTimestampValue().AsTime().Add(s.ahead + p.ahead))
			writes[i].Fields = fields
		}
	}
}

// expire removes what may be removed by the TTL policies, as soon as it may be.
func (s *simulation) expire() {
	for _, collection := range []string{regstore.FeedCollection, quotastore.Collection, quotastore.ResetCollection} {
		var old []docdb.Write
		_ = s.db.Query(context.Background(), docdb.Query{Collection: collection}, func(d *docdb.Document) error {
			if at := d.Fields[expiresAt].GetTimestampValue(); at.IsValid() && at.AsTime().Before(s.now()) {
				old = append(old, docdb.Write{Name: d.Name, Delete: true})
			}
			return nil
		})
		for chunk := range slices.Chunk(old, docdb.MaxWrites) {
			if _, err := s.db.Commit(context.Background(), chunk...); err != nil {
				s.fails("expire: %w", err)
			}
			s.met(Expired)
		}
	}
}

// countRaces counts a write that has lost one.
func (s *simulation) countRaces(c *docdbtest.Call, err error) {
	if docdb.LostTheRace(err) || slices.ContainsFunc(c.Codes, docdb.LostRace) {
		s.met(Conflicts)
	}
}

// deafen makes a listener hear late, and not of everything.
func (s *simulation) deafen(p *process, c *docdbtest.Call) {
	tell, chance := c.Tell, p.chance()
	c.Tell = func(e docdb.Event) {
		if s.stands(c.Context, p, "tell", "") != goes {
			return
		}
		if missed := chance() >= 0.75 || s.plan.with(Deaf); !e.Whole && missed && !s.plan.without(Silence) {
			s.met(Silence)
			return
		}
		tell(e)
	}
}
