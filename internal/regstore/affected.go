package regstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// tenantsAtOnce is how many tenants one query asks for: each takes two of the
// disjunctions, of which a query has 30 at most
// (https://cloud.google.com/firestore/docs/query-data/queries#limits_on_or_queries).
const tenantsAtOnce = 15

// Affected implements ownership.Rewriter. More tenants than one query can ask for
// are asked for in parts, and what the parts found is put together.
func (s *Store) Affected(ctx context.Context, page ownership.Page) (records []ownership.Record, more bool, err error) {
	ctx, done := s.telemetry.start(ctx, "affected", page.Limit)
	defer func() { done(err) }()
	var found []*docdb.Document
	last := "" // behind this name a part that was cut off may have missed some
	for tenants := range slices.Chunk(page.Tenants, tenantsAtOnce) {
		part, cut, err := s.affectedPart(ctx, page, tenants)
		if err != nil {
			return nil, false, fmt.Errorf("read affected documents: %w", err)
		}
		if cut && (!more || nameOfLast(part) < last) {
			more, last = true, nameOfLast(part)
		}
		found = append(found, part...)
	}
	byName := func(a, b *docdb.Document) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(found, byName)
	found = slices.CompactFunc(found, func(a, b *docdb.Document) bool { return a.Name == b.Name })
	for _, d := range found {
		if len(records) == page.Limit || more && d.Name > last {
			return records, true, nil
		}
		records = append(records, s.decode(ctx, d))
	}
	return records, more, nil
}

var errPageFull = errors.New("the page is full")

// affectedPart returns a page of the documents of some tenants, and reports whether
// it was cut off.
func (s *Store) affectedPart(ctx context.Context, page ownership.Page, tenants []string) (found []*docdb.Document, cut bool, err error) {
	after := ""
	if page.After != "" {
		after = s.db.Name(Collection, page.After)
	}
	query := resources(after, affected(tenants)...)
	query.Limit, query.At = page.Limit, page.At
	if page.UpTo != "" {
		query.UpTo = s.db.Name(Collection, page.UpTo)
	}
	bytes := 0
	err = s.query(ctx, query, func(d *docdb.Document) error {
		found = append(found, d)
		if bytes += proto.Size(d); page.Bytes > 0 && bytes >= page.Bytes {
			return errPageFull
		}
		return nil
	})
	// What came before a failure, or in the time that there was, is a page too. Asked for
	// again as a whole it would take as long, and a large tenant would never end.
	if errors.Is(err, errPageFull) || err != nil && len(found) > 0 && !errors.Is(ctx.Err(), context.Canceled) {
		return found, true, nil
	}
	return found, len(found) == page.Limit, err
}

func nameOfLast(documents []*docdb.Document) string { return documents[len(documents)-1].Name }

// CountAffected implements ownership.Rewriter. One read is billed for up to 1,000
// documents.
func (s *Store) CountAffected(ctx context.Context, tenants []string) (all int64, err error) {
	ctx, done := s.telemetry.start(ctx, "count_affected", 0)
	defer func() { done(err) }()
	for part := range slices.Chunk(tenants, tenantsAtOnce) {
		n, err := s.count(ctx, resources("", affected(part)...))
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}
