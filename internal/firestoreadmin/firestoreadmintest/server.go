// Package firestoreadmintest stands in for Firestore's Admin API, of which the
// emulator has nothing: fields as google/firestore/admin/v1/field.proto describes
// them.
package firestoreadmintest

import (
	"context"
	"net"
	"path"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Server is the part of Firestore's Admin API that knows the settings of fields.
type Server struct {
	adminpb.UnimplementedFirestoreAdminServer
	MayNotLook, MayNotChange bool

	mu     sync.Mutex
	Fields map[string]*adminpb.Field // by name; not to be used while it is asked
	// Database is what is known of the database itself.
	Database *adminpb.Database
	// Indexes over several fields, by their collections.
	Indexes map[string][]*adminpb.Index
}

var errDenied = status.Error(codes.PermissionDenied, "Missing or insufficient permissions.")

// GetDatabase returns what is known of the database.
func (s *Server) GetDatabase(context.Context, *adminpb.GetDatabaseRequest) (*adminpb.Database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MayNotLook {
		return nil, errDenied
	}
	return s.Database, nil
}

// ListFields returns the fields that have settings of their own.
func (s *Server) ListFields(_ context.Context, r *adminpb.ListFieldsRequest) (*adminpb.ListFieldsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MayNotLook {
		return nil, errDenied
	}
	answer := &adminpb.ListFieldsResponse{}
	for name, field := range s.Fields {
		if strings.HasPrefix(name, r.Parent+"/fields/") {
			answer.Fields = append(answer.Fields, field)
		}
	}
	return answer, nil
}

// UpdateField sets what the mask names, at once.
func (s *Server) UpdateField(_ context.Context, r *adminpb.UpdateFieldRequest) (*longrunningpb.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MayNotChange {
		return nil, errDenied
	}
	field := s.Fields[r.Field.Name]
	if field == nil {
		if s.Fields == nil {
			s.Fields = map[string]*adminpb.Field{}
		}
		field = &adminpb.Field{Name: r.Field.Name, IndexConfig: &adminpb.Field_IndexConfig{UsesAncestorConfig: true}}
		s.Fields[r.Field.Name] = field
	}
	for _, mask := range r.UpdateMask.Paths {
		switch mask {
		case "index_config":
			field.IndexConfig = r.Field.IndexConfig
		case "ttl_config":
			field.TtlConfig = &adminpb.Field_TtlConfig{State: adminpb.Field_TtlConfig_CREATING}
		}
	}
	return &longrunningpb.Operation{Name: path.Dir(r.Field.Name) + "/operations/1"}, nil
}

// Start serves until the test ends, and returns the options of a client.
func (s *Server) Start(t *testing.T) []option.ClientOption {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	adminpb.RegisterFirestoreAdminServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return []option.ClientOption{
		option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// ListIndexes returns the indexes over several fields.
func (s *Server) ListIndexes(_ context.Context, r *adminpb.ListIndexesRequest) (*adminpb.ListIndexesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MayNotLook {
		return nil, errDenied
	}
	return &adminpb.ListIndexesResponse{Indexes: s.Indexes[path.Base(r.Parent)]}, nil
}

// CreateIndex makes an index at once, and adds the document's name to it, as
// Firestore does.
func (s *Server) CreateIndex(_ context.Context, r *adminpb.CreateIndexRequest) (*longrunningpb.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MayNotChange {
		return nil, errDenied
	}
	if s.Indexes == nil {
		s.Indexes = map[string][]*adminpb.Index{}
	}
	r.Index.Fields = append(r.Index.Fields, &adminpb.Index_IndexField{
		FieldPath: "__name__", ValueMode: &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING},
	})
	s.Indexes[path.Base(r.Parent)] = append(s.Indexes[path.Base(r.Parent)], r.Index)
	return &longrunningpb.Operation{Name: r.Parent + "/operations/2"}, nil
}
