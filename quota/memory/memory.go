// Package memory keeps throttle windows in this process: for tests, and for
// `dev` and `run --api` in one process. It passes the same suite as the Firestore
// store, and forgets everything when the process ends.
package memory

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/quota"
)

// Store is a quota.Store in memory. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu        sync.Mutex
	last      time.Time     // the latest that the clock has shown
	writes    quota.Version // of all documents: no version is used twice
	documents map[quota.Key]document
	sweepAt   int // number of documents at which expired ones are dropped
	resets    map[quota.Key]int64
	policies  []quota.PolicyDocument
	edition   int           // of policies
	changed   chan struct{} // closed, and made anew, by what watchers wait for
}

type document struct {
	window    quota.Window
	version   quota.Version
	expiresAt time.Time
	reset     quota.ResetRecord
}

var _ quota.Store = (*Store)(nil)

// New returns an empty store that takes the time from the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose clock is now.
func NewAt(now func() time.Time) *Store {
	return &Store{
		now:       now,
		documents: map[quota.Key]document{},
		sweepAt:   1024,
		resets:    map[quota.Key]int64{},
		changed:   make(chan struct{}),
	}
}

// Load implements quota.Store.
func (s *Store) Load(ctx context.Context, key quota.Key) (quota.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return quota.Snapshot{}, fmt.Errorf("load %s: %w: %w", key, quota.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.document(key)
	return quota.Snapshot{Window: d.window, Version: d.version, ReadTime: s.clock(), Reset: d.reset}, nil
}

// Save implements quota.Store.
func (s *Store) Save(ctx context.Context, key quota.Key, c quota.Change) (quota.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return quota.Receipt{}, fmt.Errorf("save %s: %w: %w", key, quota.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.document(key).version != c.Since {
		return quota.Receipt{}, fmt.Errorf("save %s: %w", key, quota.ErrConflict)
	}
	receipt := s.put(key, c.Window, c.ExpiresAt, s.document(key).reset)
	if c.ResetBy != "" {
		d := s.documents[key]
		d.reset = quota.ResetRecord{By: c.ResetBy, At: receipt.CommitTime}
		s.documents[key] = d
		s.resets[key] = c.Window.Generation
		s.notify()
	}
	return receipt, nil
}

// Watch implements quota.Store.
func (s *Store) Watch(ctx context.Context, w quota.Watcher) error {
	told, edition := map[quota.Key]int64{}, -1
	for {
		s.mu.Lock()
		changed, policies, latest := s.changed, s.policies, s.edition
		resets := maps.Clone(s.resets)
		s.mu.Unlock()
		for key, generation := range resets {
			if told[key] != generation {
				told[key] = generation
				w.Reset(key, generation)
			}
		}
		if edition != latest {
			edition = latest
			w.Policies(policies)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close implements quota.Store. There is nothing to give back.
func (s *Store) Close() error { return nil }

// SetPlain writes a document as the Python service does, which knows of
// last_reset and count alone: our fields are gone.
func (s *Store) SetPlain(key quota.Key, lastReset float64, count int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, quota.Window{LastReset: lastReset, Count: count}, time.Time{}, quota.ResetRecord{})
}

// SetPolicies replaces the policy documents.
func (s *Store) SetPolicies(documents ...quota.PolicyDocument) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies = documents
	s.edition++
	s.notify()
}

func (s *Store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) document(key quota.Key) document {
	if d, ok := s.documents[key]; ok {
		return d
	}
	return document{version: quota.Absent}
}

func (s *Store) put(key quota.Key, w quota.Window, expiresAt time.Time, reset quota.ResetRecord) quota.Receipt {
	s.writes++
	s.documents[key] = document{w, s.writes, expiresAt, reset}
	if len(s.documents) >= s.sweepAt {
		s.sweep()
	}
	return quota.Receipt{Version: s.writes, CommitTime: s.clock()}
}

// sweep is the TTL policy: it drops expired documents, so seldom that a write
// pays for little of it.
func (s *Store) sweep() {
	for key, d := range s.documents {
		if !d.expiresAt.IsZero() && d.expiresAt.Before(s.clock()) {
			delete(s.documents, key)
			delete(s.resets, key)
		}
	}
	s.sweepAt = max(1024, 2*len(s.documents))
}

// clock does not go back, whatever the machine's does.
func (s *Store) clock() time.Time {
	if now := s.now().Truncate(time.Microsecond); now.After(s.last) {
		s.last = now
	}
	return s.last
}

// Len is the number of documents.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.documents)
}
