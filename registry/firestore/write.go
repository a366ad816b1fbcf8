package firestore

import (
	"crypto/rand"
	"errors"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a change feed entry.
const (
	fieldResource  = "resource"   // a document name of the main collection
	fieldAt        = "at"         // commit time
	fieldExpiresAt = "expires_at" // for the TTL policy
)

// feedFormat is the format of what feedWrite writes.
const feedFormat = 1

func (s *Store) write(t *target, u registry.Update, on *firestorepb.Precondition) *firestorepb.Write {
	return &firestorepb.Write{
		Operation:       &firestorepb.Write_Update{Update: s.encode(t.resource, u)},
		UpdateMask:      mask(on, resourceFields),
		CurrentDocument: on,
	}
}

// mask names the fields that a write is about. What it does not name stays as it
// is: a later release, or somebody outside, may have put it there. Of a document
// that must not exist there is nothing to be kept.
func mask(on *firestorepb.Precondition, fields []string) *firestorepb.DocumentMask {
	if _, fresh := on.GetConditionType().(*firestorepb.Precondition_Exists); fresh {
		return nil
	}
	return &firestorepb.DocumentMask{FieldPaths: fields}
}

// ours is mask, for a document as it was read; nil if there was none.
func ours(existing *firestorepb.Document, fields []string) *firestorepb.DocumentMask {
	return mask(asRead(existing), fields)
}

// feedWrite adds a change feed entry under a name of its own, so that readers
// can drop those that they see twice.
func (s *Store) feedWrite(r registry.Resource) *firestorepb.Write {
	expires := time.Now().Add(FeedTTL)
	return &firestorepb.Write{
		Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
			Name: s.document(FeedCollection, rand.Text()),
			Fields: map[string]*firestorepb.Value{
				fieldResource:  text(r.DocumentID()),
				fieldFormat:    integer(feedFormat),
				fieldExpiresAt: {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(expires)}},
			},
		}},
		UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldAt)},
		CurrentDocument:  absent(),
	}
}

func errorIsLostRace(err error) bool { return lostRace(status.Code(err)) }

// asUnavailable makes sure that an error wraps registry.ErrUnavailable.
func asUnavailable(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return unavailable("apply", err)
}
