package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin"
)

// fieldsPatience is how long a service tries to check the settings of fields: the
// result is only a warning, and nothing waits for it.
const fieldsPatience = 30 * time.Second

// onFirestoreService reports whether the registry is in the Firestore service. With
// an emulator of Firestore or Pub/Sub, neither indexes nor expiry are needed.
func (in *invocation) onFirestoreService() bool {
	return in.firestoreTarget().Emulator == "" && !in.onPubSubEmulator() && in.Config.RegistryBackend != config.Memory
}

func (in *invocation) fieldsOf() firestoreadmin.Database {
	return firestoreadmin.Database{Project: in.Config.Project, ID: in.Config.Database, Prefix: in.Config.CollectionPrefix}
}

// openFirestoreAdmin returns a client of Firestore's administration.
func (in *invocation) openFirestoreAdmin(ctx context.Context) (*admin.FirestoreAdminClient, error) {
	return bounded(ctx, func(ctx context.Context) (*admin.FirestoreAdminClient, error) {
		return admin.NewFirestoreAdminClient(context.WithoutCancel(ctx), in.adminOptions...)
	})
}

// provisionFields changes the indexes, exemptions and expiry of fields that are not
// as they should be, and prints what it does, or would do. If it may not, it prints
// the commands for someone who may.
func (in *invocation) provisionFields(ctx context.Context) error {
	if !in.onFirestoreService() {
		fmt.Fprintln(in.Stderr, "indexes and expiry of fields: left out, an emulator needs none")
		return nil
	}
	database := in.fieldsOf()
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := in.openFirestoreAdmin(start)
	if err != nil {
		return in.explainFirestore(err)
	}
	defer client.Close()
	changes, err := database.Differences(ctx, client)
	if status.Code(err) == codes.PermissionDenied {
		if changes, err = database.All(); err == nil {
			err = in.byHand(changes, "these credentials may not look at the fields of Firestore (datastore.indexes.list)")
		}
		return err
	}
	if err != nil {
		return in.explainFirestore(err)
	}
	if len(changes) == 0 {
		fmt.Fprintln(in.Stdout, "keep   indexes and expiry of fields")
	}
	for i, c := range changes {
		if !in.Config.DryRun {
			if _, err := c.Apply(ctx, client); status.Code(err) == codes.PermissionDenied {
				return in.byHand(changes[i:], "these credentials may not change the fields of Firestore (datastore.indexes.update)")
			} else if err != nil {
				return in.explainFirestore(err)
			}
		}
		fmt.Fprintln(in.Stdout, "update", c)
	}
	if len(changes) > 0 && !in.Config.DryRun {
		fmt.Fprintln(in.Stderr, "Firestore changes them in the background; gcloud firestore operations list shows how far it is")
	}
	return nil
}

// byHand prints the commands that make changes.
func (in *invocation) byHand(changes []firestoreadmin.Change, why string) error {
	for _, c := range changes {
		fmt.Fprintln(in.Stdout, strings.Join(c.Commands(), "\n"))
	}
	return fmt.Errorf("%s: run the commands on standard output with credentials that may, or grant roles/datastore.indexAdmin", why)
}

// warnOfFields warns, some time later, of fields with wrong settings: writes cost
// more and are slower, or expired documents stay.
func (in *invocation) warnOfFields(ctx context.Context) {
	if !in.onFirestoreService() {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, fieldsPatience)
		defer cancel()
		client, err := in.openFirestoreAdmin(ctx)
		if err == nil {
			defer client.Close()
			var changes []firestoreadmin.Change
			if changes, err = in.fieldsOf().Differences(ctx, client); len(changes) > 0 {
				in.Logger.Warn("fields of Firestore are not set up as they should be: writes are dearer and slower, or what has expired stays",
					"fields", len(changes), "first", changes[0].String(), "do", "registry-worker provision --dry-run shows all, registry-worker provision changes them")
			}
		}
		if err != nil {
			in.Logger.Debug("indexes and expiry of fields were not looked at", "error", err)
		}
	}()
}
