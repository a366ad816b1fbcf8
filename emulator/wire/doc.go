// Package wire watches, breaks and delays what a client sends to an emulator
// (or to the service), from outside the client:
//
//   - [Meter] counts calls, and the document reads, writes and deletes that
//     Firestore would bill.
//   - [Faults] fails calls, and loses answers of calls that succeeded.
//   - [Link] is a TCP proxy that delays, cuts and swallows.
//   - [Proxy] is a gRPC proxy, so that a Meter sees what another process does.
//
// Package rules makes an emulator behave as the service does, with the same
// means.
//
// The first two are gRPC dial options, given to Google's clients by
// option.WithGRPCDialOption or by package emulatortest. They work in any order: the
// meter sits on the transport, below every interceptor, so it counts what was
// really sent: each attempt of a retried call, and a write whose answer Faults has
// lost.
package wire
