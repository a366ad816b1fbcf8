// Package limits is the model below package quota: keys, policies, windows, and
// what a store keeps of them. A Limiter, the stores and operators' tools share it.
// It is pure except for ReadPolicies and WatchPolicyFile, which read a file, and
// for Show, Reset and PoliciesNow, which ask a store.
//
// The words are in docs/glossary.md.
package limits
