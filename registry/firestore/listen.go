package firestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The targets of the one stream that a Listen is.
const (
	feedTarget int32 = 1
	headTarget int32 = 2
)

// A Listen ends after so many entries, or so long, so that the next one asks for
// less: the result of its query grows with every change.
const (
	mostListened  = 500
	longestListen = 10 * time.Minute
)

var errListened = errors.New("listened for long enough")

// Listen implements registry.Feed, on the feed from now on and on the ledger's
// head.
func (s *Store) Listen(ctx context.Context, tell func(registry.Notice)) error {
	for {
		if err := s.listenOnce(ctx, tell); !errors.Is(err, errListened) {
			return fmt.Errorf("listen to the change feed: %w", asUnavailable(err))
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, tell func(registry.Notice)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, longestListen, errListened)
	defer cancel()
	head, position, err := s.readWithHead(ctx, nil) // for the service's time
	if err != nil {
		return err
	}
	tell(registry.Notice{Seq: position})
	stream, err := s.client.Listen(s.outgoing(ctx))
	if err != nil {
		return err
	}
	for _, target := range s.feedTargets(head.ReadTime) {
		request := &firestorepb.ListenRequest{Database: s.database, TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: target}}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
	for listened := 0; listened < mostListened; {
		response, err := stream.Recv()
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		notice, err := s.notice(ctx, response)
		if err != nil {
			return err
		}
		if notice.Seq > 0 || len(notice.Entries) > 0 {
			listened += len(notice.Entries)
			tell(notice)
		}
	}
	return errListened
}

func (s *Store) feedTargets(from time.Time) []*firestorepb.Target {
	return []*firestorepb.Target{
		{TargetId: feedTarget, TargetType: &firestorepb.Target_Query{Query: &firestorepb.Target_QueryTarget{
			Parent:    s.database + "/documents",
			QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: s.feedSince(from, mostListened)},
		}}},
		{TargetId: headTarget, TargetType: &firestorepb.Target_Documents{Documents: &firestorepb.Target_DocumentsTarget{
			Documents: []string{s.headName()},
		}}},
	}
}

// notice is what one message tells.
func (s *Store) notice(ctx context.Context, response *firestorepb.ListenResponse) (registry.Notice, error) {
	if change := response.GetTargetChange(); change.GetTargetChangeType() == firestorepb.TargetChange_REMOVE {
		return registry.Notice{}, fmt.Errorf("the service has ended it: %v", change.GetCause())
	}
	d := response.GetDocumentChange().GetDocument()
	switch {
	case d == nil || len(response.GetDocumentChange().GetRemovedTargetIds()) > 0:
		return registry.Notice{}, nil
	case d.Name == s.headName():
		return registry.Notice{Seq: headPosition(d)}, nil
	}
	return registry.Notice{Entries: s.feedEntries(ctx, d)}, nil
}
