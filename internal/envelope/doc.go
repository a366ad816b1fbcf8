// Package envelope reads CloudEvents by the CloudEvents Pub/Sub binding. It refuses
// those that are incomplete, that the rules do not allow, or whose data does not
// fit the schema of their type. Package events knows what a type means; its comment
// has the guarantees and the order of the checks. It is pure.
package envelope
