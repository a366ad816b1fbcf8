package fsquota_test

import (
	"context"
	"log"
	"os"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
)

// Close the limiter before the store: it writes back what it has reserved.
func ExampleOpen() {
	ctx := context.Background()
	store, err := fsquota.Open(ctx, fsquota.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	limiter, err := quota.New(store, quota.Options{PolicyFile: "policies.yaml"})
	if err != nil {
		log.Fatal(err)
	}
	defer limiter.Close(ctx)
}
