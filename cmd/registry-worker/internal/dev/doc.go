// Package dev is what `registry-worker dev` adds to a worker with its API: the
// example events, a transport that reports when a message is settled, an event bus
// for machines without the emulators, and the page that shows the result.
//
// # The example
//
// Example is eleven messages in the order of a story: two tenants create
// threads and canvases; one event comes twice; t_globex creates a thread that
// t_acme has; one of its threads moves to t_acme; then everything that t_globex
// owns moves to t_umbrella; the last message has no time. They are published one
// after the other, each once the one before is settled: Pub/Sub promises no
// order, and which of two creations is the conflict would otherwise differ from
// run to run. (The owners would not.)
//
// # What it does not do
//
// A Bus keeps nothing: what is in it when the process ends is gone, and so are
// its dead letters. Nothing here is for production.
//
// It emits no telemetry of its own.
package dev
