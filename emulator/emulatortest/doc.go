// Package emulatortest gives tests the official emulators of Firestore and
// Pub/Sub, each test in a project of its own, and the programs of this module as
// real processes.
//
//	project := emulatortest.Both(t)
//	client, err := pubsub.NewClient(ctx, project.ID, project.PubSubOptions()...)
//
// Between a test and the emulators stand the rules of the services (package
// wire/rules), so that what Firestore or Pub/Sub would refuse, bound or slow down
// does not pass unnoticed: for clients of the test and for processes alike. A test
// of what the rules do by default changes them:
//
//	project.FirestoreRules.WriteRate(0, 0) // a race for one document
//	project.FirestoreRules.Distance(20 * time.Millisecond)
//
// The emulators are those that FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST
// name (`make test` starts one pair for all packages), else a pair that is
// started once for the test binary and ends with it, however it ends.
//
// If the emulators are not installed the test is skipped with a message that
// says what to type; with CI=true it fails instead, so that a proof cannot be
// lost in silence.
package emulatortest
