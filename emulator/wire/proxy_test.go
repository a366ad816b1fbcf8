package wire_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// A client that knows nothing of the meter, as one in another process.
func proxied(t *testing.T) (*firestore.Client, *wire.Meter, *wire.Proxy) {
	t.Helper()
	meter, p := wire.NewMeter(), emulatortest.Firestore(t)
	proxy, err := wire.NewProxy(p.FirestoreHost, meter.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	p.FirestoreHost = proxy.Addr()
	client, err := firestore.NewClient(t.Context(), p.ID, p.FirestoreOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client, meter, proxy
}

func TestAProxyCarriesCallsStreamsAndErrorsAndLetsThemBeCounted(t *testing.T) {
	client, meter, _ := proxied(t)
	_, err := client.Doc("c/d").Create(t.Context(), doc{1})
	require.NoError(t, err)
	_, err = client.Doc("c/d").Create(t.Context(), doc{2})
	require.Equal(t, codes.AlreadyExists, status.Code(err))
	_, err = client.Doc("c/missing").Get(t.Context())
	require.Equal(t, codes.NotFound, status.Code(err))
	require.NoError(t, client.RunTransaction(t.Context(), func(_ context.Context, tx *firestore.Transaction) error {
		if _, err := tx.Get(client.Doc("c/d")); err != nil {
			return err
		}
		return tx.Set(client.Doc("c/e"), doc{3})
	}))
	documents, err := client.Collection("c").Documents(t.Context()).GetAll()
	require.NoError(t, err)
	require.Len(t, documents, 2)

	require.EqualValues(t, 3, meter.Writes("c"), "a create, one that failed, and the transaction's")
	require.EqualValues(t, 4, meter.Reads("c"), "a miss, the transaction's, and what the query returned")
}

func TestAProxyCarriesListenersUntilItIsClosed(t *testing.T) {
	client, meter, proxy := proxied(t)
	_, err := client.Doc("c/d").Set(t.Context(), doc{1})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changes := client.Doc("c/d").Snapshots(ctx)
	defer changes.Stop()
	for n := range int64(2) {
		snapshot, err := changes.Next()
		require.NoError(t, err)
		require.EqualValues(t, n+1, snapshot.Data()["N"])
		_, err = client.Doc("c/d").Set(t.Context(), doc{int(n) + 2})
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, meter.Calls("Listen"))

	require.NoError(t, proxy.Close())
	down, cancel := context.WithTimeout(t.Context(), time.Second) // the client retries for ever
	defer cancel()
	_, err = client.Doc("c/d").Get(down)
	require.Error(t, err)
}

func TestAProxyPassesRESTOn(t *testing.T) {
	client, _, proxy := proxied(t)
	_, err := client.Doc("c/d").Set(t.Context(), doc{7})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+proxy.Addr()+"/v1/"+client.Doc("c/d").Path, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer owner")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, string(body), `"integerValue": "7"`)
}
