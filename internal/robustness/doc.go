// Package robustness breaks a whole installation: real worker and serve processes,
// publishers, clients over HTTP in Go and in Python, and an operator, on the official
// emulators behind the services' rules and a distance, while processes, links, calls
// and emulators fail by a schedule that follows from a seed. It records all that was
// asked and answered in a history, which package internal/judge judges
// (docs/robustness.md).
//
// It is a test, TestProofOfRobustness, behind the build tag proofs: `make robustness`.
package robustness
