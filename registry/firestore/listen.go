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

// mostConnecting is how long a Listen may take until it tells of changes.
const mostConnecting = 30 * time.Second

var errNeverCurrent = errors.New("the service did not begin to tell")

// Listen implements registry.Feed, on the feed from now on and on the ledger's
// head. Its query has no projection: the service refuses "'select' clauses are
// not supported for real-time queries"
// (https://github.com/googleapis/google-cloud-go/pull/1320), which the emulator
// does not.
func (s *Store) Listen(ctx context.Context, tell func(registry.Notice)) error {
	for {
		if err := s.listenOnce(ctx, tell); !errors.Is(err, errListened) {
			if errors.Is(err, registry.ErrUnavailable) {
				return fmt.Errorf("listen to the change feed: %w", err)
			}
			return unavailable("listen to the change feed", err)
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, tell func(registry.Notice)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, longestListen, errListened)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	connecting := time.AfterFunc(mostConnecting, func() { giveUp(errNeverCurrent) })
	defer connecting.Stop()
	head, err := s.readWithHead(ctx, nil) // for the service's time
	if err != nil {
		return err
	}
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
	awaited := map[int32]bool{feedTarget: true, headTarget: true}
	for listened := 0; listened < mostListened; {
		response, err := stream.Recv()
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if becameCurrent(response, awaited) {
			connecting.Stop()
			tell(registry.Notice{Seq: head.Ledger.Seq()})
		}
		notice, err := s.notice(ctx, response)
		if err != nil {
			return err
		}
		// What is told before, the query's first result, is from before the call.
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

// becameCurrent reports whether the message is the one after which all targets
// are current: what happens from then on is told.
func becameCurrent(response *firestorepb.ListenResponse, awaited map[int32]bool) bool {
	change := response.GetTargetChange()
	if change.GetTargetChangeType() != firestorepb.TargetChange_CURRENT || len(awaited) == 0 {
		return false
	}
	for _, id := range change.GetTargetIds() {
		delete(awaited, id)
	}
	if len(change.GetTargetIds()) == 0 { // none are all
		clear(awaited)
	}
	return len(awaited) == 0
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
		position, err := s.look(ctx, d)
		return registry.Notice{Seq: position}, err
	}
	entry, err := s.feedEntry(ctx, d)
	if err != nil {
		return registry.Notice{}, nil // the next confirming read deals with it
	}
	return registry.Notice{Entries: []registry.FeedEntry{entry}}, nil
}
