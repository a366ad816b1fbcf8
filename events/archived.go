package events

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// ArchiveSource is the source of the events that occur in archives only.
const ArchiveSource = "registry"

// NewAsserted returns the archive event of a plain set. The registry's history
// has neither source nor id for it, a CloudEvent must: they are "registry" and
// "asserted/{kind}__{id}/{time}", the same whenever the same history is
// exported. at is the version time of the assertion: the document's update time.
func NewAsserted(tenantID string, resource ResourceRef, at time.Time) Event {
	return Event{
		Source: ArchiveSource,
		ID:     fmt.Sprintf("asserted/%s__%s/%s", resource.Kind, resource.ID, formatTime(at)),
		Time:   at.UTC().Round(0),
		Data:   Asserted{TenantID: tenantID, Resource: resource},
	}
}

// NewClaimed returns the archive event of a claim at a time. Its source is
// "registry" and its id "{kind}__{id}__{tenant}", as in the registry's history.
func NewClaimed(claim Claimed, at time.Time) Event {
	return Event{Source: ArchiveSource, ID: claimID(claim.TenantID, claim.Resource), Time: at.UTC().Round(0), Data: claim}
}

func claimID(tenantID string, resource ResourceRef) string {
	return resource.Kind + "__" + resource.ID + "__" + tenantID
}

// asClaim makes a creation the claim that it is: earlier releases kept claims as
// creations by the registry itself, and archived them so. In an archive only:
// any publisher could give its events that source and id.
func (e Event) asClaim() Event {
	var claim Claimed
	switch data := e.Data.(type) {
	case ThreadCreated:
		claim = Claimed{TenantID: data.TenantID, Resource: ResourceRef{"thread", data.ThreadID}}
	case CanvasCreated:
		claim = Claimed{TenantID: data.TenantID, Resource: ResourceRef{"canvas", data.CanvasID}}
	default:
		return e
	}
	if e.Source == ArchiveSource && e.ID == claimID(claim.TenantID, claim.Resource) {
		e.Data = claim
	}
	return e
}

// NewRetracted returns the archive event of one statement of a retraction: at
// says when, by who and reason why (both may be empty). Its source is
// "registry", its id "retracted/{hash}" with the SHA-256, in hexadecimal, of all
// that it says, with NULs in between: the texts themselves could be longer than
// an id may be, and what another operator said is another event.
func NewRetracted(eventSource, eventID, by, reason string, at time.Time) Event {
	said := strings.Join([]string{eventSource, eventID, by, reason, formatTime(at)}, "\x00")
	return Event{
		Source: ArchiveSource,
		ID:     fmt.Sprintf("retracted/%x", sha256.Sum256([]byte(said))),
		Time:   at.UTC().Round(0),
		Data:   Retracted{EventSource: eventSource, EventID: eventID, By: by, Reason: reason},
	}
}
