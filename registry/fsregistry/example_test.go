package fsregistry_test

import (
	"context"
	"log"
	"os"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// With FIRESTORE_EMULATOR_HOST it opens the emulator's database.
func ExampleOpen() {
	ctx := context.Background()
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := registry.New(store).RegisterThread(ctx, "t_acme", "th_1"); err != nil {
		log.Fatal(err)
	}
}
