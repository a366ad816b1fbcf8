// Package envelope reads CloudEvents as the CloudEvents Pub/Sub binding has them,
// and refuses those that are not whole, that the rules do not allow, or whose data
// does not fit the schema of their type. What a type means is for package events,
// whose comment has the guarantees and the order of the checks. It is pure.
package envelope
