// Package fakesdk is a Google Cloud SDK with emulators that start at once and do
// nothing. It is for tests of how emulators are found, started and stopped.
package fakesdk

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const asEmulator = "FAKESDK_EMULATOR"

// Main turns the process into a fake emulator if it was launched as one. TestMain
// calls it first.
func Main() {
	if os.Getenv(asEmulator) != "" {
		serve()
	}
}

// New makes an SDK in a directory of the test. It returns the variables by which
// these emulators, no others, and a Java are found, as KEY=value.
func New(t testing.TB) (root string, env []string) {
	t.Helper()
	root = t.TempDir()
	// Fork, as Firestore's real launcher does, or exec, as Pub/Sub's does.
	Script(t, filepath.Join(root, "platform/cloud-firestore-emulator/cloud_firestore_emulator"), Launch(`"$@"`)+" &\nwait")
	Script(t, filepath.Join(root, "platform/pubsub-emulator/bin/cloud-pubsub-emulator"), "exec "+Launch(`"$@"`))
	Script(t, filepath.Join(root, "java/bin/java"), "exit 1")
	return root, []string{"CLOUDSDK_ROOT_DIR=" + root, "JAVA_HOME=" + filepath.Join(root, "java"), "FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST="}
}

// Launch is the shell command that runs a fake emulator with arguments.
func Launch(args string) string {
	return fmt.Sprintf("env %s=1 '%s' %s", asEmulator, os.Args[0], args)
}

// Script writes a shell script.
func Script(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
}

func serve() {
	port := ""
	for _, arg := range os.Args[1:] {
		if value, ok := strings.CutPrefix(arg, "--port="); ok {
			port = value
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	server := grpc.NewServer()
	firestorepb.RegisterFirestoreServer(server, firestore{})
	pubsubpb.RegisterPublisherServer(server, publisher{})
	fmt.Println(server.Serve(listener))
	os.Exit(1)
}

type firestore struct {
	firestorepb.UnimplementedFirestoreServer
}

func (firestore) GetDocument(context.Context, *firestorepb.GetDocumentRequest) (*firestorepb.Document, error) {
	return nil, status.Error(codes.NotFound, "there is nothing here")
}

type publisher struct {
	pubsubpb.UnimplementedPublisherServer
}

func (publisher) ListTopics(context.Context, *pubsubpb.ListTopicsRequest) (*pubsubpb.ListTopicsResponse, error) {
	return &pubsubpb.ListTopicsResponse{}, nil
}
