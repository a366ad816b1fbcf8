// Package judge decides whether a registry kept its promises, from a history: a
// record of what was asked of it and what it answered, of what was done to it
// meanwhile, and of what it held in the end (docs/robustness.md describes the file).
//
// It has models of its own, and none of the code that it judges except the types:
//
//   - owners: the reference fold (internal/reference), over every set of events that
//     may have counted at a time ([Verdict], rules about checks, watches and the end);
//   - claims, and windows of the throttle: github.com/anishathalye/porcupine searches
//     for an order in which the answers are right;
//   - answers and health: bounds.
//
// A judge can only say that a history breaks a rule, and that it had something to
// judge: it is never wrong about a violation if the clock of the one machine that
// recorded the history does not step, and it may overlook one. [Verdict.Judged] says
// how much it could judge.
package judge
