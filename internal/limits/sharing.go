package limits

// Sharing is what a window's document says of how many processes write it, so
// that they write it as often as a document takes, however many they are (design
// §7). It is of one window: a window that begins has none.
type Sharing struct {
	// Writes is how often the document was written in this window, if more than
	// one process has; or could have been until it was written last, if that is more.
	Writes int64
	// Processes is how many processes have written it in this window: at least so
	// many want units. One that has lost a race may be in it twice.
	Processes int64
	// Writer is a number of the process that wrote it last, so that one which has
	// forgotten a window does not take itself for another. Zero: not known.
	Writer int64
	// Crowd is how many wrote the window before: so many may want the next one at
	// the moment that it begins.
	Crowd int64
	// Parts is the number of parts, each a document of its own, that units were put
	// aside for: PartLimit for each, all of them in the window's Count. Zero: none.
	Parts, PartLimit int64
	// Parted is how many windows in a row, this one included, began with parts.
	Parted int64
}
