package peer

import (
	"context"
	"encoding/json"
	"fmt"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What people write on their own: JSON straight into structs, a document with
// the owner, and a transaction, or a create that may fail, to make repetition
// harmless.

type created struct {
	TenantID string `json:"tenant_id"`
	ThreadID string `json:"thread_id"`
}

type moved struct {
	From      string `json:"from_tenant_id"`
	To        string `json:"to_tenant_id"`
	Resources []struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"resources"`
}

type assignment struct {
	TenantID string `firestore:"tenant_id"`
}

// handler writes ownerships with Google's client.
type handler struct{ client *firestore.Client }

func (h handler) document(kind, id string) *firestore.DocumentRef {
	return h.client.Collection("realtime_registry").Doc(kind + "__" + id)
}

// handle applies one event. create says how a creation is made.
func (h handler) handle(ctx context.Context, typ string, data []byte, create func(context.Context, *firestore.DocumentRef, assignment) error) error {
	switch typ {
	case "nexus.thread.created.v1":
		var e created
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		return create(ctx, h.document("thread", e.ThreadID), assignment{e.TenantID})
	case "nexus.tenant.moved.v1":
		var e moved
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		for _, r := range e.Resources {
			if err := h.move(ctx, h.document(r.Kind, r.ID), e.From, e.To); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("no handler for %s", typ)
}

// getOrSet is a transaction for each creation.
func (h handler) getOrSet(ctx context.Context, document *firestore.DocumentRef, o assignment) error {
	return h.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		_, err := tx.Get(document)
		if status.Code(err) == codes.NotFound {
			return tx.Set(document, o)
		}
		return err
	})
}

// createOnce is the cheapest creation that may be repeated: one write if the
// document is new, a failed one and a read if it is not.
func (h handler) createOnce(ctx context.Context, document *firestore.DocumentRef, o assignment) error {
	_, err := document.Create(ctx, o)
	if status.Code(err) != codes.AlreadyExists {
		return err
	}
	_, err = document.Get(ctx)
	return err
}

func (h handler) move(ctx context.Context, document *firestore.DocumentRef, from, to string) error {
	return h.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(document)
		if err != nil {
			return err
		}
		var now assignment
		if err := snapshot.DataTo(&now); err != nil || now.TenantID != from {
			return err
		}
		return tx.Set(document, assignment{to})
	})
}
