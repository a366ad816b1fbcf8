package handlers

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Archive is the inverse of Changes. It returns the events that make the history of
// a resource, in the order of the fold. A move that named several resources
// becomes, for each of them, an event that names this one alone. Source and id are
// the same, and so is the result.
func Archive(resource registry.Resource, history ownership.History) []events.Event {
	ref := events.ResourceRef{Kind: string(resource.Kind), ID: resource.ID}
	all := make([]events.Event, len(history))
	for i, e := range history {
		event := events.Event{ID: e.ID, Source: e.Source, Time: e.Time}
		switch {
		case e.Type == ownership.Claimed:
			event = archived.NewClaimed(archived.Claimed{TenantID: e.Tenant, Resource: ref, EventSource: e.Event.Source, EventID: e.Event.ID}, e.Time)
		case e.Type == ownership.Asserted:
			event = archived.NewAsserted(e.Tenant, ref, e.Time)
		case e.Type == ownership.Moved:
			event.Data = events.TenantMoved{FromTenantID: e.From, ToTenantID: e.To, Resources: []events.ResourceRef{ref}, Reason: e.Reason, Actor: e.Actor}
		case e.Type == ownership.Deleted:
			event = archived.NewDeleted(ref, e.Time)
		case resource.Kind == registry.Thread:
			event.Data = events.ThreadCreated{TenantID: e.Tenant, ThreadID: resource.ID}
		default:
			event.Data = events.CanvasCreated{TenantID: e.Tenant, CanvasID: resource.ID}
		}
		all[i] = event
	}
	return all
}

// ArchiveMove is Archive for an entry of the ledger: the move, unless only its
// retraction has arrived, and every statement of its retraction, the first seen
// first.
func ArchiveMove(e ownership.LedgerEntry) []events.Event {
	var all []events.Event
	if !e.RetractionOnly {
		all = append(all, events.Event{
			ID: e.ID, Source: e.Source, Time: e.Time,
			Data: events.TenantMoved{FromTenantID: e.From, ToTenantID: e.To, Reason: e.Reason, Actor: e.Actor},
		})
	}
	for _, said := range e.Retractions {
		all = append(all, archived.NewRetracted(e.Source, e.ID, said.By, said.Why, said.At))
	}
	return all
}

// Event is Archive for the changes of one event: one change, of a resource or of the
// ledger, or one for each resource that a move names.
func Event(changes ...ownership.Change) events.Event {
	c := changes[0]
	e := c.Entry
	switch {
	case len(changes) > 1:
		named := events.TenantMoved{FromTenantID: e.From, ToTenantID: e.To, Reason: e.Reason, Actor: e.Actor}
		for _, c := range changes {
			named.Resources = append(named.Resources, events.ResourceRef{Kind: string(c.Resource.Kind), ID: c.Resource.ID})
		}
		return events.Event{ID: e.ID, Source: e.Source, Time: e.Time, Data: named}
	case !c.OfLedger():
		return Archive(c.Resource, ownership.History{e})[0]
	case e.Type == ownership.Retracted:
		return archived.NewRetracted(e.Source, e.ID, e.Actor, e.Reason, e.Time)
	}
	return ArchiveMove(ownership.LedgerEntry{Version: e.Version, From: e.From, To: e.To, Reason: e.Reason, Actor: e.Actor})[0]
}
