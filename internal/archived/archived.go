// Package archived has the events that occur in archives only, beside the published
// ones. `export --events` writes them and `replay` reads them; the worker refuses
// them as unknown_type. It is pure.
package archived

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// The types.
const (
	ClaimedType   events.Type = "registry.claimed.v1"
	AssertedType  events.Type = "registry.asserted.v1"
	RetractedType events.Type = "registry.retracted.v1"
)

// Claimed says that the registry confirmed a tenant's claim of the resource. The
// event's source and id are those of the claim in the registry's history.
// EventSource and EventID name the event that the same creation publishes, as the
// claim gave them; both may be empty.
type Claimed struct {
	TenantID    string             `json:"tenant_id"`
	Resource    events.ResourceRef `json:"resource"`
	EventSource string             `json:"event_source,omitempty"`
	EventID     string             `json:"event_id,omitempty"`
}

// Asserted says that another program wrote the document with a plain set. Its
// source and id are empty in the registry's history.
type Asserted struct {
	TenantID string             `json:"tenant_id"`
	Resource events.ResourceRef `json:"resource"`
}

// Retracted says that an operator took back the move of a whole tenant that
// EventSource and EventID name.
type Retracted struct {
	EventSource string `json:"event_source"`
	EventID     string `json:"event_id"`
	By          string `json:"by,omitempty"`     // who, as the operator gave it
	Reason      string `json:"reason,omitempty"` // why
}

// Type implements events.Data.
func (Claimed) Type() events.Type { return ClaimedType }

// Type implements events.Data.
func (Asserted) Type() events.Type { return AssertedType }

// Type implements events.Data.
func (Retracted) Type() events.Type { return RetractedType }

// NewAsserted returns the archive event of a plain set. The registry's history has
// neither source nor id for it, but a CloudEvent needs both: they are "registry"
// and "asserted/{kind}__{id}/{time}", the same whenever the same history is
// exported. at is the version time of the assertion: the document's update time.
func NewAsserted(tenantID string, resource events.ResourceRef, at time.Time) events.Event {
	return events.Event{
		Source: envelope.ArchiveSource,
		ID:     fmt.Sprintf("asserted/%s__%s/%s", resource.Kind, resource.ID, at.UTC().Format(time.RFC3339Nano)),
		Time:   at.UTC().Round(0),
		Data:   Asserted{TenantID: tenantID, Resource: resource},
	}
}

// NewClaimed returns the archive event of a claim at a time. Its source is
// "registry" and its id "{kind}__{id}__{tenant}", as in the registry's history.
func NewClaimed(claim Claimed, at time.Time) events.Event {
	return events.Event{Source: envelope.ArchiveSource, ID: claimID(claim.TenantID, claim.Resource), Time: at.UTC().Round(0), Data: claim}
}

// NewDeleted returns the archive event of a deletion at a time. The registry's
// history keeps neither source nor id of the event that was published: here they are
// "registry" and "deleted/{kind}__{id}".
func NewDeleted(resource events.ResourceRef, at time.Time) events.Event {
	e := events.Event{Source: envelope.ArchiveSource, ID: "deleted/" + resource.Kind + "__" + resource.ID, Time: at.UTC().Round(0)}
	if resource.Kind == "thread" {
		e.Data = events.ThreadDeleted{ThreadID: resource.ID}
	} else {
		e.Data = events.CanvasDeleted{CanvasID: resource.ID}
	}
	return e
}

func claimID(tenantID string, resource events.ResourceRef) string {
	return resource.Kind + "__" + resource.ID + "__" + tenantID
}

// asClaim turns a creation by the registry itself into a claim: earlier releases
// stored and archived claims as such creations. It is for archives only: any
// publisher could give its events that source and id.
func asClaim(e events.Event) events.Event {
	var claim Claimed
	switch data := e.Data.(type) {
	case events.ThreadCreated:
		claim = Claimed{TenantID: data.TenantID, Resource: events.ResourceRef{Kind: "thread", ID: data.ThreadID}}
	case events.CanvasCreated:
		claim = Claimed{TenantID: data.TenantID, Resource: events.ResourceRef{Kind: "canvas", ID: data.CanvasID}}
	default:
		return e
	}
	if e.Source == envelope.ArchiveSource && e.ID == claimID(claim.TenantID, claim.Resource) {
		e.Data = claim
	}
	return e
}

// NewRetracted returns the archive event of one statement of a retraction: at says
// when, by who and reason why (both may be empty). Its source is "registry", its id
// "retracted/{hash}" with the SHA-256, in hexadecimal, of everything that it says,
// with NULs in between. The texts themselves could be longer than an id may be.
// What another operator said is another event.
func NewRetracted(eventSource, eventID, by, reason string, at time.Time) events.Event {
	said := strings.Join([]string{eventSource, eventID, by, reason, at.UTC().Format(time.RFC3339Nano)}, "\x00")
	return events.Event{
		Source: envelope.ArchiveSource,
		ID:     fmt.Sprintf("retracted/%x", sha256.Sum256([]byte(said))),
		Time:   at.UTC().Round(0),
		Data:   Retracted{EventSource: eventSource, EventID: eventID, By: by, Reason: reason},
	}
}
