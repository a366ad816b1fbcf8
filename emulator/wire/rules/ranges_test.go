package rules

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Within one second, by the clock of the test.
func TestTheReportNamesIndexesThatGrowAtTheirEnd(t *testing.T) {
	second := time.Unix(1_000_000, 0)
	rising := func(i int) *firestorepb.Value {
		return &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(second.Add(time.Duration(i) * time.Millisecond))}}
	}
	random := func(int) *firestorepb.Value {
		return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: rand.Int64()}}
	}
	server := func(int) *firestorepb.Value { return nil }
	for _, test := range []struct {
		name, collection string
		n                int
		value            func(int) *firestorepb.Value
		want             []Hot
	}{
		{"sequential", "c", 501, rising, []Hot{{"c.at", 501}}},
		{"the server's time", "c", 501, server, []Hot{{"c.at", 501}}},
		{"not too many", "c", 500, rising, nil},
		{"not sequential", "c", 2000, random, nil},
		{"not indexed", "exempt", 2000, rising, nil},
		{"not indexed, the server's time", "exempt", 2000, server, nil},
	} {
		x, err := ParseIndexes([]byte(`{"fieldOverrides": [{"collectionGroup": "exempt", "fieldPath": "at", "indexes": []}]}`))
		require.NoError(t, err)
		r := &indexRanges{}
		for i := range test.n {
			w := &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
				Name: fmt.Sprintf("projects/p/databases/(default)/documents/%s/d%d", test.collection, i),
			}}}
			if v := test.value(i); v != nil {
				w.GetUpdate().Fields = map[string]*firestorepb.Value{"at": v}
			} else {
				w.UpdateTransforms = []*firestorepb.DocumentTransform_FieldTransform{{FieldPath: "at", TransformType: &firestorepb.DocumentTransform_FieldTransform_SetToServerValue{
					SetToServerValue: firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME,
				}}}
			}
			r.wrote(x, []*firestorepb.Write{w}, second)
		}
		require.Equal(t, test.want, r.report(), test.name)
	}
}
