package docdbtest

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Call is one call of a database: what is asked, and, once it was made, the
// answer. Both may be changed.
type Call struct {
	Method  string // Get, Commit, BatchWrite, Query, Count, Sum or Listen
	Context context.Context

	Names   []string
	Writes  []docdb.Write
	Query   docdb.Query
	Targets []docdb.Target

	Found   map[string]*docdb.Document
	At      time.Time
	Receipt docdb.Receipt
	Codes   []codes.Code
	Visit   func(*docdb.Document) error
	Counted int64
	Field   string // whose sum is asked for
	Sum     int64
	Tell    func(docdb.Event)
}

// Around returns a database each of whose calls goes through a function, which
// makes it by calling do, or does not, and returns its error.
func Around(db docdb.DB, around func(c *Call, do func() error) error) docdb.DB {
	return surrounded{db, around}
}

type surrounded struct {
	docdb.DB
	around func(*Call, func() error) error
}

func (s surrounded) Get(ctx context.Context, names []string) (map[string]*docdb.Document, time.Time, error) {
	c := &Call{Method: "Get", Context: ctx, Names: names}
	err := s.around(c, func() (err error) {
		c.Found, c.At, err = s.DB.Get(c.Context, c.Names)
		return err
	})
	return c.Found, c.At, err
}

func (s surrounded) Commit(ctx context.Context, writes ...docdb.Write) (docdb.Receipt, error) {
	c := &Call{Method: "Commit", Context: ctx, Writes: writes}
	err := s.around(c, func() (err error) {
		c.Receipt, err = s.DB.Commit(c.Context, c.Writes...)
		return err
	})
	return c.Receipt, err
}

func (s surrounded) BatchWrite(ctx context.Context, writes []docdb.Write) ([]codes.Code, error) {
	c := &Call{Method: "BatchWrite", Context: ctx, Writes: writes}
	err := s.around(c, func() (err error) {
		c.Codes, err = s.DB.BatchWrite(c.Context, c.Writes)
		return err
	})
	return c.Codes, err
}

func (s surrounded) Query(ctx context.Context, q docdb.Query, visit func(*docdb.Document) error) error {
	c := &Call{Method: "Query", Context: ctx, Query: q, Visit: visit}
	return s.around(c, func() error { return s.DB.Query(c.Context, c.Query, c.Visit) })
}

func (s surrounded) Count(ctx context.Context, q docdb.Query) (int64, error) {
	c := &Call{Method: "Count", Context: ctx, Query: q}
	err := s.around(c, func() (err error) {
		c.Counted, err = s.DB.Count(c.Context, c.Query)
		return err
	})
	return c.Counted, err
}

func (s surrounded) Sum(ctx context.Context, q docdb.Query, field string) (n, sum int64, err error) {
	c := &Call{Method: "Sum", Context: ctx, Query: q, Field: field}
	err = s.around(c, func() (err error) {
		c.Counted, c.Sum, err = s.DB.Sum(c.Context, c.Query, c.Field)
		return err
	})
	return c.Counted, c.Sum, err
}

func (s surrounded) Listen(ctx context.Context, targets []docdb.Target, tell func(docdb.Event)) error {
	c := &Call{Method: "Listen", Context: ctx, Targets: targets, Tell: tell}
	return s.around(c, func() error { return s.DB.Listen(c.Context, c.Targets, c.Tell) })
}
