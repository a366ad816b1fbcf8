// Package handlers says what an event means: Changes turns it into changes of
// the registry, and Reduce turns the outcomes of those changes into one result
// for the message that carried the event.
//
// Both are pure: they know neither Pub/Sub, nor a store, nor the clock. Package
// internal/consumer decides which results ack a message.
package handlers

import (
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Changes returns what the event changes, at the event's version (design §4):
//
//   - a creation: the created entry of its resource;
//   - a deletion: the deleted entry of its resource, at the event's time, without
//     the event's name;
//   - a move that names resources: a moved entry for each of them, in the
//     order in which the event names them;
//   - a move that names none: one moved entry of the ledger;
//   - a claim, from an archive: the claimed entry of its resource;
//   - an assertion, from an archive: an asserted entry, at the event's time and
//     with neither source nor id, as the registry itself records it;
//   - a retraction, from an archive: a retracted entry of the ledger, under the
//     name of the move that it takes back.
//
// Changes panics on a type of data that it does not know, which decoding never
// returns.
func Changes(e events.Event) []ownership.Change {
	version := ownership.Version{Time: e.Time, Source: e.Source, ID: e.ID}
	switch data := e.Data.(type) {
	case events.ThreadCreated:
		return created(version, data.TenantID, registry.Resource{Kind: registry.Thread, ID: data.ThreadID})
	case events.CanvasCreated:
		return created(version, data.TenantID, registry.Resource{Kind: registry.Canvas, ID: data.CanvasID})
	case events.ThreadDeleted:
		return deleted(e.Time, registry.Resource{Kind: registry.Thread, ID: data.ThreadID})
	case events.CanvasDeleted:
		return deleted(e.Time, registry.Resource{Kind: registry.Canvas, ID: data.CanvasID})
	case events.TenantMoved:
		return moved(version, data)
	case archived.Claimed:
		r := resource(data.Resource)
		claim := ownership.ClaimEntry(data.TenantID, r, e.Time)
		claim.Event = ownership.EventName{Source: data.EventSource, ID: data.EventID}
		return []ownership.Change{{Resource: r, Entry: claim}}
	case archived.Asserted:
		entry := ownership.Entry{
			Type:    ownership.Asserted,
			Version: ownership.Version{Time: e.Time},
			Tenant:  data.TenantID,
		}
		return []ownership.Change{{Resource: resource(data.Resource), Entry: entry}}
	case archived.Retracted:
		move := ownership.Version{Time: e.Time, Source: data.EventSource, ID: data.EventID}
		return []ownership.Change{ownership.Retraction(move, data.By, data.Reason)}
	default:
		panic(fmt.Sprintf("no handler for events of type %T", data))
	}
}

func created(version ownership.Version, tenant string, r registry.Resource) []ownership.Change {
	entry := ownership.Entry{Type: ownership.Created, Version: version, Tenant: tenant}
	return []ownership.Change{{Resource: r, Entry: entry}}
}

func deleted(at time.Time, r registry.Resource) []ownership.Change {
	return []ownership.Change{{Resource: r, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: at}}}}
}

func moved(version ownership.Version, data events.TenantMoved) []ownership.Change {
	entry := ownership.Entry{Type: ownership.Moved, Version: version, From: data.FromTenantID, To: data.ToTenantID, Reason: data.Reason, Actor: data.Actor}
	if data.Resources == nil {
		return []ownership.Change{{Entry: entry}} // the ledger
	}
	changes := make([]ownership.Change, len(data.Resources))
	for i, ref := range data.Resources {
		changes[i] = ownership.Change{Resource: resource(ref), Entry: entry}
	}
	return changes
}

func resource(ref events.ResourceRef) registry.Resource {
	return registry.Resource{Kind: registry.Kind(ref.Kind), ID: ref.ID}
}
