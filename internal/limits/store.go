package limits

import (
	"context"
	"time"
)

// Version names a state of a document, and none of its other states: more than
// zero, or Absent. In Firestore it is the update time, in nanoseconds since 1970.
type Version int64

// Absent is the version of a document that does not exist.
const Absent Version = -1

// Snapshot is what a strong read saw.
type Snapshot struct {
	Window   Window // zero if Version is Absent
	Version  Version
	ReadTime time.Time   // the store's time of the read
	Reset    ResetRecord // the last one by an operator; zero: none, or forgotten
}

// ResetRecord is the record of a reset by an operator. It stays with the document,
// until that expires or another program replaces it.
type ResetRecord struct {
	By string    // who
	At time.Time // the store's time
}

// Change is a window to write.
type Change struct {
	Window Window
	Since  Version // what the document must still be
	// ExpiresAt is when the document is no longer needed.
	ExpiresAt time.Time
	// ResetBy, if it is not empty, says that an operator has reset the window, and
	// who: the record is kept with the document, and every Watch is told,
	// atomically with the write. Other changes leave the record as it is.
	ResetBy string
}

// Receipt is the proof of a write.
type Receipt struct {
	Version    Version
	CommitTime time.Time // the store's time of the commit
}

// PolicyDocument is one document of the policies' collection, not checked.
type PolicyDocument struct {
	Name   string
	Fields map[string]any // string, int64, float64, bool; others as the store has them
}

// Watcher is told what changes. Its functions are called one at a time, and
// must return soon.
type Watcher struct {
	// Reset: an operator has reset the window of the key. May be told more than
	// once, and of resets from before the Watch.
	Reset func(Key, int64)
	// Policies: all policy documents, first as they are, then after each change.
	Policies func([]PolicyDocument)
}

// Store keeps windows. Packages fsquota and memquota open one. It is safe for
// concurrent use, by any number of processes.
type Store interface {
	// Load reads a window strongly: the answer holds every write that ended
	// before the call. Errors wrap ErrUnavailable.
	Load(ctx context.Context, key Key) (Snapshot, error)

	// Save writes a window if the document is what it was at Since, in one
	// attempt. ErrConflict: it was not, and nothing was written. Any other error
	// wraps ErrUnavailable, and it is not known whether the window was written.
	Save(ctx context.Context, key Key, change Change) (Receipt, error)

	// Watch tells of resets and policies until ctx ends or the connection is
	// lost, and returns why.
	Watch(ctx context.Context, w Watcher) error

	// Close closes what the store has opened.
	Close() error
}
