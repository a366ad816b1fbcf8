// Package rules makes the official emulators refuse, bound and slow down what the
// services do, and the emulators by themselves do not:
//
//	f, err := rules.NewFirestore(emulators.Firestore.Host, indexes)
//	conn, err := grpc.NewClient(f.Target(), f.DialOptions()...) // in this process
//	cmd.Env = append(cmd.Env, "FIRESTORE_EMULATOR_HOST="+f.Addr()) // in another one
//
// [Firestore] and [PubSub] are each one engine of rules with a state, such as
// how fast a document is written. The clients of this process meet it by dial
// options, which cost next to nothing; all others meet the same engine through
// a proxy. Every rule names where Google says so.
//
// It is not the service. It knows the rules that are written here, and nothing of
// capacity, splits, or failures of machines. A rate is the plan for one document,
// not a promise.
//
// The errors are those of the services: the code is theirs, and so is the message
// if it is known.
package rules
