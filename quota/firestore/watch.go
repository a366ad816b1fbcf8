package firestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/quota"
)

// The targets of the one stream that a Watch is.
const (
	policyTarget int32 = 1
	resetTarget  int32 = 2
)

// Watch implements quota.Store: both collections on one stream. Where the
// service says that what it has told is not whole (a filter's count), the Watch
// ends, and the next one begins from nothing: the collections are small.
func (s *Store) Watch(ctx context.Context, w quota.Watcher) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	stream, err := s.client.Listen(s.outgoing(ctx))
	if err != nil {
		return fmt.Errorf("watch: %w", unavailable(err))
	}
	// Resets first: who has been told of policies is told of resets too.
	for _, target := range []struct {
		id         int32
		collection string
	}{{resetTarget, ResetCollection}, {policyTarget, PolicyCollection}} {
		if err := stream.Send(s.listenTo(target.id, target.collection)); err != nil {
			return fmt.Errorf("watch %s: %w", target.collection, unavailable(err))
		}
	}
	view := view{store: s, watcher: w, policies: map[string]quota.PolicyDocument{}, resets: map[string]bool{}}
	for {
		response, err := stream.Recv()
		if err == nil {
			err = view.take(response)
		}
		if err != nil {
			return fmt.Errorf("watch: %w", unavailable(err))
		}
	}
}

func (s *Store) listenTo(target int32, collection string) *firestorepb.ListenRequest {
	return &firestorepb.ListenRequest{
		Database: s.database,
		TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: &firestorepb.Target{
			TargetId: target,
			TargetType: &firestorepb.Target_Query{Query: &firestorepb.Target_QueryTarget{
				Parent: s.database + "/documents",
				QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: &firestorepb.StructuredQuery{
					From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: s.prefix + collection}},
				}},
			}},
		}},
	}
}

// view is what a stream has told so far.
type view struct {
	store    *Store
	watcher  quota.Watcher
	policies map[string]quota.PolicyDocument // by document name
	resets   map[string]bool                 // document names
	whole    bool                            // all policies there were have been told
	changed  bool                            // policies, since they were passed on
}

// take applies one message. Policies are passed on when the stream has told of a
// change whole; resets at once.
func (v *view) take(response *firestorepb.ListenResponse) error {
	switch r := response.GetResponseType().(type) {
	case *firestorepb.ListenResponse_DocumentChange:
		v.document(r.DocumentChange.GetDocument(), r.DocumentChange.GetRemovedTargetIds())
	case *firestorepb.ListenResponse_DocumentDelete:
		v.remove(r.DocumentDelete.GetDocument())
	case *firestorepb.ListenResponse_DocumentRemove:
		v.remove(r.DocumentRemove.GetDocument())
	case *firestorepb.ListenResponse_Filter:
		known := map[int32]int{policyTarget: len(v.policies), resetTarget: len(v.resets)}
		if int(r.Filter.GetCount()) != known[r.Filter.GetTargetId()] {
			return errors.New("the stream has missed a change")
		}
	case *firestorepb.ListenResponse_TargetChange:
		return v.target(r.TargetChange)
	}
	return nil
}

func (v *view) target(change *firestorepb.TargetChange) error {
	switch change.GetTargetChangeType() {
	case firestorepb.TargetChange_REMOVE:
		return fmt.Errorf("the service has ended it: %v", change.GetCause())
	case firestorepb.TargetChange_RESET: // all is told again
		if slices.Contains(change.GetTargetIds(), policyTarget) {
			v.policies, v.whole = map[string]quota.PolicyDocument{}, false
		}
		if slices.Contains(change.GetTargetIds(), resetTarget) {
			v.resets = map[string]bool{}
		}
	case firestorepb.TargetChange_CURRENT:
		if slices.Contains(change.GetTargetIds(), policyTarget) {
			v.whole, v.changed = true, true
		}
	}
	// With a read time, everything up to it has been told.
	if change.GetReadTime() != nil && v.whole && v.changed {
		v.changed = false
		documents := make([]quota.PolicyDocument, 0, len(v.policies))
		for _, d := range v.policies {
			documents = append(documents, d)
		}
		v.watcher.Policies(documents)
	}
	return nil
}

func (v *view) document(d *firestorepb.Document, removed []int32) {
	if len(removed) > 0 {
		v.remove(d.GetName())
		return
	}
	collection, id := v.split(d.GetName())
	if collection == ResetCollection {
		v.reset(id, d)
		return
	}
	policy := quota.PolicyDocument{Name: id, Fields: map[string]any{}}
	for name, value := range d.GetFields() {
		policy.Fields[name] = plain(value)
	}
	v.policies[id] = policy
	v.changed = true
}

// unknownGeneration is that of no window: a process that is told of it looks
// at the window itself.
const unknownGeneration = -1

func (v *view) reset(id string, d *firestorepb.Document) {
	v.resets[id] = true
	key, err := quota.ParseDocumentID(id)
	if err != nil {
		v.store.logger.Warn("a reset for no valid key", "document", d.GetName(), "error", err)
		return
	}
	generation := whole(d.GetFields()[generationField])
	if err := v.store.tooNew(context.Background(), understood(d)); err != nil {
		generation = unknownGeneration
	}
	v.watcher.Reset(key, generation)
}

func (v *view) remove(name string) {
	collection, id := v.split(name)
	if collection == ResetCollection {
		delete(v.resets, id)
		return
	}
	delete(v.policies, id)
	v.changed = true
}

func (v *view) split(name string) (collection, id string) {
	path := strings.TrimPrefix(name, v.store.database+"/documents/"+v.store.prefix)
	collection, id, _ = strings.Cut(path, "/")
	return collection, id
}
