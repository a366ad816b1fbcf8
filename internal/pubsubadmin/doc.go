// Package pubsubadmin is what the command line does to Pub/Sub: it creates
// topics and subscriptions (Provision), publishes events (Publisher), looks at
// dead letters and publishes them again (ListDeadLetters, Redrive), and rewinds
// subscriptions (Rewind). The worker's own loop is in internal/consumer.
//
// Everything here may be repeated. Errors carry the name of the topic or
// subscription that they are about.
package pubsubadmin
