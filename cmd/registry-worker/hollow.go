package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// hollowStore is what hollow needs of a registry.
type hollowStore interface {
	HasDocuments(ctx context.Context) (bool, error)
	Epoch(ctx context.Context) (e ownership.Epoch, exists bool, err error)
}

// hollow says what is missing from a registry without documents: a command that finds
// nothing wrong there has found nothing at all, and the database is mostly not the one
// that is meant. It is "" if there are any.
func (in *invocation) hollow(ctx context.Context, store hollowStore) (string, error) {
	found, err := store.HasDocuments(ctx)
	if err != nil || found {
		return "", err
	}
	_, exists, err := store.Epoch(ctx)
	if err != nil {
		return "", err
	}
	if !exists {
		return fmt.Sprintf("there is no registry in %s: nothing was ever written to it", in.firestoreTarget()), nil
	}
	return fmt.Sprintf("the registry in %s has no documents", in.firestoreTarget()), nil
}

// needDocuments returns what hollow says as an error, with what to do.
func (in *invocation) needDocuments(ctx context.Context, store hollowStore, otherwise string) error {
	text, err := in.hollow(ctx, store)
	if err != nil {
		return in.explainFirestore(err)
	}
	if text == "" {
		return nil
	}
	text += ": see that --project, --database and --collection-prefix name the one that is meant"
	if otherwise != "" {
		text += "; " + otherwise
	}
	return errors.New(text)
}
