// Package monitoring holds deploy/monitoring against the program: that rules and
// dashboard ask for what there is, that all there is can be seen, that every alert
// has its paragraph, and that a real Prometheus takes it.
package monitoring
