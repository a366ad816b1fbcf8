// Package emulator starts and stops the official emulators of Firestore and
// Pub/Sub, which come with the Google Cloud SDK.
//
//	emulators, err := emulator.Start(ctx, emulator.Options{})
//	defer emulators.Stop()
//	cmd.Env = append(os.Environ(), emulators.Environ()...)
//
// What it guarantees:
//   - Start returns when both answer a call, each on a loopback port of its
//     own, or with an error that holds what the emulator printed.
//   - Stop, and the end of this process by whatever means (SIGKILL too), ends
//     the emulators that it started, with all their children, and nothing else.
//   - Any number of processes may do so at the same time.
//
// What it does not: keep data. Everything in an emulator is gone when it stops, unless
// Restart starts it again.
// Windows is not supported. And an emulator is not the service: it takes much that
// the service refuses, bounds or slows down. Package wire/rules makes up for that.
//
// The errors: [ErrNotInstalled], whose message says what to type; any other error
// means that an emulator did not come up.
//
// Tests use package emulatortest, which gives each test its own project behind
// those rules, and package wire, which counts, loses and delays what goes over the
// wire.
package emulator
