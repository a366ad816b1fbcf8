package emulator

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

func TestAServerThatTookThePortIsNotTakenForTheEmulator(t *testing.T) {
	l, err := net.Listen("tcp", loopback+":0")
	require.NoError(t, err)
	other := grpc.NewServer() // which knows no method
	go func() { _ = other.Serve(l) }()
	t.Cleanup(other.Stop)
	for name, ready := range map[string]func(*Emulator) error{
		"Firestore": func(e *Emulator) error { return e.awaitReady(t.Context(), spec{ready: firestoreReady}) },
		"Pub/Sub":   func(e *Emulator) error { return e.awaitReady(t.Context(), spec{ready: pubsubReady}) },
	} {
		process, err := launch([]string{"sh", "-c", "sleep 0.3; echo Address already in use; sleep 60"}, nil)
		require.NoError(t, err)
		e := &Emulator{Name: name, Host: l.Addr().String(), process: process}
		require.ErrorIs(t, ready(e), errPortTaken, "another port is tried")
		require.NoError(t, e.Stop())
	}
}
