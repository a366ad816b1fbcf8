package firestoredb

import (
	"context"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Commit implements docdb.DB.
func (db *DB) Commit(ctx context.Context, writes ...docdb.Write) (docdb.Receipt, error) {
	response, err := db.client.Commit(db.outgoing(ctx), &firestorepb.CommitRequest{Database: db.database, Writes: wired(writes)})
	if err != nil {
		return docdb.Receipt{}, err
	}
	receipt := docdb.Receipt{At: response.CommitTime.AsTime(), Updated: make([]time.Time, len(writes))}
	for i, r := range response.WriteResults {
		receipt.Updated[i] = r.UpdateTime.AsTime()
		if len(r.TransformResults) > 0 { // all of a request are of one time
			receipt.Requested = r.TransformResults[0].GetTimestampValue().AsTime()
		}
	}
	return receipt, nil
}

// BatchWrite implements docdb.DB.
func (db *DB) BatchWrite(ctx context.Context, writes []docdb.Write) ([]codes.Code, error) {
	response, err := db.client.BatchWrite(db.outgoing(ctx), &firestorepb.BatchWriteRequest{Database: db.database, Writes: wired(writes)})
	if err != nil {
		return nil, err
	}
	results := make([]codes.Code, len(writes))
	for i, st := range response.Status { // empty if all succeeded
		results[i] = codes.Code(st.GetCode())
	}
	return results, nil
}

// wired makes writes as the wire has them.
func wired(writes []docdb.Write) []*firestorepb.Write {
	all := make([]*firestorepb.Write, len(writes))
	for i, w := range writes {
		all[i] = &firestorepb.Write{CurrentDocument: precondition(w.If)}
		if w.Delete {
			all[i].Operation = &firestorepb.Write_Delete{Delete: w.Name}
			continue
		}
		all[i].Operation = &firestorepb.Write_Update{Update: &docdb.Document{Name: w.Name, Fields: w.Fields}}
		if w.Mask != nil && !w.If.Absent { // nothing is there to be kept
			all[i].UpdateMask = &firestorepb.DocumentMask{FieldPaths: w.Mask}
		}
		for _, field := range w.Times {
			all[i].UpdateTransforms = append(all[i].UpdateTransforms, requestTime(field))
		}
	}
	return all
}

// absent is shared, and must not be modified.
var absent = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}

func precondition(c docdb.Condition) *firestorepb.Precondition {
	switch {
	case c.Absent:
		return absent
	case c.Updated.IsZero():
		return nil
	}
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: timestamppb.New(c.Updated)}}
}

func requestTime(field string) *firestorepb.DocumentTransform_FieldTransform {
	return &firestorepb.DocumentTransform_FieldTransform{
		FieldPath: field,
		TransformType: &firestorepb.DocumentTransform_FieldTransform_SetToServerValue{
			SetToServerValue: firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME,
		},
	}
}
