package regstore_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// nothing is a Firestore that has nothing, and takes everything.
type nothing struct {
	firestorepb.UnimplementedFirestoreServer
}

func (nothing) BatchGetDocuments(r *firestorepb.BatchGetDocumentsRequest, stream firestorepb.Firestore_BatchGetDocumentsServer) error {
	for _, name := range r.Documents {
		response := &firestorepb.BatchGetDocumentsResponse{ReadTime: timestamppb.Now(), Result: &firestorepb.BatchGetDocumentsResponse_Missing{Missing: name}}
		if name[len(name)-5:] == "/head" {
			response.Result = &firestorepb.BatchGetDocumentsResponse_Found{Found: &firestorepb.Document{Name: name, UpdateTime: timestamppb.Now(), Fields: map[string]*firestorepb.Value{
				"format":              {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: 1}},
				"ledger_staleness_ms": {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: fsregistry.LedgerStaleness.Milliseconds()}},
				"commit_deadline_ms":  {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: fsregistry.CommitDeadline.Milliseconds()}},
			}}}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return nil
}

func (nothing) BatchWrite(_ context.Context, r *firestorepb.BatchWriteRequest) (*firestorepb.BatchWriteResponse, error) {
	return &firestorepb.BatchWriteResponse{}, nil
}

// What 500 fresh creations take in this process, with a server that does nothing.
func BenchmarkFreshCreations(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := grpc.NewServer()
	firestorepb.RegisterFirestoreServer(server, nothing{})
	go server.Serve(listener)
	defer server.Stop()
	s, err := fsregistry.Open(b.Context(), fsregistry.Options{ProjectID: "p", ClientOptions: []option.ClientOption{
		option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}})
	require.NoError(b, err)
	defer s.Close()
	changes := make([]ownership.Change, 500)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for i := range changes {
			id := fmt.Sprint("th_", n, "_", i)
			changes[i] = ownership.Change{Resource: registry.Resource{Kind: registry.Thread, ID: id}, Entry: ownership.Entry{
				Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{Time: time.Unix(1, 0), Source: "//nexus", ID: id}}}
		}
		for _, o := range s.Apply(b.Context(), changes) {
			if o.Kind != ownership.Applied {
				b.Fatal(o.Err)
			}
		}
	}
}
