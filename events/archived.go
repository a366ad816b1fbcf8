package events

import (
	"crypto/sha256"
	"fmt"
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

// NewRetracted returns the archive event of a retraction: at says when, by says
// who (may be empty). Its source is "registry", its id "retracted/{hash}" with
// the SHA-256, in hexadecimal, of the retracted event's source, a NUL and its
// id: the two themselves could be longer than an id may be.
func NewRetracted(eventSource, eventID, by string, at time.Time) Event {
	return Event{
		Source: ArchiveSource,
		ID:     fmt.Sprintf("retracted/%x", sha256.Sum256([]byte(eventSource+"\x00"+eventID))),
		Time:   at.UTC().Round(0),
		Data:   Retracted{EventSource: eventSource, EventID: eventID, By: by},
	}
}
