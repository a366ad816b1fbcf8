package simulation

import (
	"context"
	"path"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// answer is the step after a write was made: who fails there does not learn that it
// happened.
const answer = "answer"

// gate is the database as a process has it.
func (s *simulation) gate(p *process) docdb.DB {
	return docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
		ctx := c.Context
		if s.rules.Deadline && len(c.Writes) > 0 {
			ctx, c.Context = p.ctx, p.ctx
		}
		stamp(c.Writes) // by the time of the request, which a commit comes after
		if err := answered(s.stands(ctx, p, c.Method, key(c))); err != nil {
			return err
		}
		if c.Method == "Listen" {
			s.deafen(p, c)
			return do()
		}
		p.count(c)
		err := s.leaveOut(p, c, do)
		if len(c.Writes) == 0 {
			return err
		}
		s.note(c, err)
		if err != nil || s.calm {
			return err
		}
		return answered(s.stands(ctx, p, answer, key(c)))
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

// key names what a call is about, but for random names, so that calls of one
// process that stand at once have an order.
func key(c *docdbtest.Call) string {
	var b strings.Builder
	b.WriteString(c.Method)
	for _, name := range c.Names {
		b.WriteString(" " + name)
	}
	for _, w := range c.Writes {
		if path.Dir(w.Name) != regstore.FeedCollection {
			b.WriteString(" " + w.Name)
		}
	}
	return b.String() + " " + c.Query.Collection + " " + c.Query.OrderBy
}

// stamp sets times that are those of the request.
func stamp(writes []docdb.Write) {
	for i, w := range writes {
		for _, field := range w.Times {
			if strings.Contains(field, ".") || w.Mask != nil && !w.If.Absent {
				continue // nothing rests on these
			}
			fields := map[string]*docdb.Value{field: docdb.Timestamp(time.Now())}
			for name, v := range w.Fields {
				fields[name] = v
			}
			writes[i].Fields, writes[i].Times = fields, nil
		}
	}
}

// count counts which documents a process reads.
func (p *process) count(c *docdbtest.Call) {
	for _, name := range c.Names {
		if r, err := registry.ParseDocumentID(path.Base(name)); err == nil {
			p.reads[r]++
		}
	}
}

// note takes note of what a write has changed.
func (s *simulation) note(c *docdbtest.Call, err error) {
	lost := docdb.LostTheRace(err)
	for _, code := range c.Codes {
		lost = lost || docdb.LostRace(code)
	}
	if lost {
		s.trouble.Conflicts++
	}
	if err == nil {
		s.noteOwners()
	}
}

// deafen makes a listener hear late, and not of everything.
func (s *simulation) deafen(p *process, c *docdbtest.Call) {
	tell, chance := c.Tell, p.chance()
	c.Tell = func(e docdb.Event) {
		if s.stands(c.Context, p, "tell", "") == goes && (e.Whole || chance() < 0.75) {
			tell(e)
		}
	}
}

// owned is who owned a resource since a time.
type owned struct {
	since time.Time
	owner string
}

// noteOwners takes note of who owns what from now on.
func (s *simulation) noteOwners() {
	snapshot, err := s.truth.Read(context.Background(), s.resources)
	if err != nil {
		s.fails("read: %w", err)
		return
	}
	for i, r := range s.resources {
		before, owner := s.owners[r], snapshot.Records[i].History.Owner(snapshot.Ledger)
		if len(before) == 0 || before[len(before)-1].owner != owner {
			s.owners[r] = append(before, owned{time.Now(), owner})
		}
	}
}

// ownedSince reports whether a tenant has owned a resource at any time from then
// on.
func (s *simulation) ownedSince(r registry.Resource, tenant string, since time.Time) bool {
	all := s.owners[r]
	for i, o := range all {
		if o.owner == tenant && (i == len(all)-1 || !all[i+1].since.Before(since)) {
			return true
		}
	}
	return false
}
