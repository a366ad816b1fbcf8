// Package events is the contract between Nexus and the registry: CloudEvents
// 1.0 that say who created what and who moved where (design §2). It is pure: it
// knows neither Pub/Sub nor Firestore nor the time of day.
//
// Decode reads a Pub/Sub message in either mode of the CloudEvents Pub/Sub
// binding. What it returns has passed every check: the envelope is whole, the type
// is known, the time is not from the future, the data fits the type's JSON Schema
// (package schemas). Encode and MarshalJSON are its inverses.
//
// # Guarantees
//
// Any attributes and any bytes end in an Event or a *Refusal, never in a panic.
// The result depends on the arguments alone, so that two workers never judge one
// message differently. If two readers of the same bytes could see different
// events, there is no event: member names that occur twice, attribute names
// that differ in case only, ids damaged by a broken encoding, and anything that
// is not UTF-8 are refused. Member names compare with case, as JSON has it.
//
// A decoded event encodes, in either form, to what decodes to the same event.
// Members of the data that the schema does not know are ignored on the way in
// and are gone on the way out: to pass an event on whole, pass on its bytes.
//
// # Refusals
//
// An event is judged in this order, and refused for the first that fails:
//
//   - too_large: the message exceeds four times MaxDataBytes; it is not read at all
//   - malformed: the mode, the JSON of a structured event, then specversion,
//     id, source, type, time and the optional attributes
//   - unknown_type: not one of the types that may be published, or that the
//     subscription carries
//   - foreign_source: the registry's own source, or one that may not send the type
//   - from_future: the time is after what is allowed
//   - from_past: the time is before what is allowed, if there is such a bound
//   - too_large: the data exceeds MaxDataBytes as it was sent; for data_base64,
//     as it is once decoded
//   - malformed: the data of a binary event is not JSON
//   - schema: the data is missing, or does not fit the schema of the type
//
// No event is refused for something that the registry does not use. An optional
// attribute (subject, dataschema, traceparent) that is empty or null counts as
// absent, and so does one that is not a string, is too long, or occurs in two
// spellings that differ in case. Extension attributes and datacontenttype are
// ignored: the data is JSON, whatever it is called. Numbers may have any size. A
// byte order mark before JSON is ignored.
//
// Times are RFC 3339 and kept to the nanosecond; what is finer is cut off. A leap
// second (23:59:60 UTC at the end of June or December) is the second after it;
// anywhere else :60 is malformed. So is nesting beyond 10,000 levels, wherever it
// is.
//
// # What it does not do
//
// It does not deduplicate, order, or know what an event means: packages registry
// and handlers do. It emits no telemetry: its caller counts the refusals.
//
// The words are in docs/glossary.md.
package events
