package emulator_test

import (
	"errors"
	"testing"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestAFirestoreEmulatorIsStartedAgainWithItsDocuments(t *testing.T) {
	emulatortest.Firestore(t) // skips if there is none
	e := start(t, emulator.Options{NoPubSub: true}).Firestore
	project := emulatortest.FirestoreAt(t, e.Host)
	client, err := firestore.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	doc := client.Collection("c").Doc("d")
	_, err = doc.Set(t.Context(), map[string]any{"n": 7})
	require.NoError(t, err)
	before := e.PID()
	require.NoError(t, e.Restart(t.Context(), project.ID, t.TempDir()))
	require.NotEqual(t, before, e.PID())
	found, err := doc.Get(t.Context()) // by a client that was there before
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": int64(7)}, found.Data())
	all, err := client.Collection("c").Documents(t.Context()).GetAll()
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func TestAPubSubEmulatorCannotBeStartedAgainWithItsMessages(t *testing.T) {
	fake(t)
	e := start(t, emulator.Options{NoFirestore: true}).PubSub
	require.ErrorIs(t, e.Restart(t.Context(), "p", t.TempDir()), errors.ErrUnsupported)
	before, host := e.PID(), e.Host
	require.NoError(t, e.RestartEmpty(t.Context()))
	require.NotEqual(t, before, e.PID())
	require.Equal(t, host, e.Host)
	require.NoError(t, e.Stop())
}
