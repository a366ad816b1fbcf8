// Package ownership is the model of who owns what: events that touched a
// resource, a fold over them, and what a store of them must do.
//
// # Model
//
// A resource's History is the set of events that touched it; its owner is a fold
// over that set and the Ledger, which holds the moves of everything that a tenant
// owns (design §4). Set union is commutative, associative and idempotent, so any
// order, any duplication and any number of writers end with the same owners. A
// Store keeps histories and the ledger: package regstore does, over a document
// database; package storetest is its suite.
//
// This package is pure: it knows neither a product nor a clock.
//
// The words are in docs/glossary.md.
package ownership
