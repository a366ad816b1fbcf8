// Package export reads a whole registry in ranges side by side, into files that
// together are sorted, and resumes where it was interrupted.
//
// A range is cut in two whenever a reader has nothing left to do, in the middle
// of what another one has still to read, by names alone: so the readers end
// together, however the ids are distributed, and nothing has to be counted first.
// Each range has a file of its own; in the order of the ranges they are the
// export, in the order of the documents' names. A manifest beside them says how
// far each is, as of which time all were read, and of which registry they are.
package export
