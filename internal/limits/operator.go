package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Status is what an operator sees of a window.
type Status struct {
	Key      Key
	Exists   bool        // false: there was no request yet, or the document has expired
	Stored   Window      // as the document has it
	InForce  Window      // as the next request would find it: perhaps a new one
	EndsAt   time.Time   // of InForce, by the store's clock
	ReadTime time.Time   // the store's
	Reset    ResetRecord // the last one by an operator; zero: none is known
}

// Show reads a window from the store. Errors: ErrInvalid, ErrUnavailable.
func Show(ctx context.Context, store Store, policies PolicySet, key Key) (Status, error) {
	if err := key.Validate(); err != nil {
		return Status{}, err
	}
	s, err := store.Load(ctx, key)
	if err != nil {
		return Status{}, fmt.Errorf("show %s: %w", key, err)
	}
	w := s.Window.At(s.ReadTime, policies.Of(key))
	return Status{
		Key:      key,
		Exists:   s.Version != Absent,
		Stored:   s.Window,
		InForce:  w,
		EndsAt:   s.ReadTime.Add(w.Left(s.ReadTime)),
		ReadTime: s.ReadTime,
		Reset:    s.Reset,
	}, nil
}

// PoliciesNow returns the policies that a limiter with this policy file (none if
// empty) has in force once it has read the store's documents. A document that is
// refused is a fault, and no limiter uses it. Errors: a bad file, as of New;
// ErrUnavailable.
func PoliciesNow(ctx context.Context, store Store, file string) (set PolicySet, faults []error, err error) {
	var layers []Policies
	if file != "" {
		policies, err := ReadPolicies(file)
		if err != nil {
			return PolicySet{}, nil, err
		}
		layers = append(layers, policies)
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	told := false
	err = store.Watch(ctx, Watcher{
		Reset: func(Key, int64) {},
		Policies: func(documents []PolicyDocument) {
			if told {
				return
			}
			told = true
			var inForce Policies
			inForce, faults = new(PolicyDocuments).Replace(documents)
			layers = append(layers, inForce)
			enough()
		},
	})
	if !told {
		return PolicySet{}, nil, fmt.Errorf("read %s: %w: %w", PolicyCollection, ErrUnavailable, err)
	}
	return NewPolicySet(layers...), faults, nil
}

// Reset begins a window anew: nothing is counted, and the policy in force counts at
// once. Every process learns of it within seconds; blocks that processes hold may
// be spent on top of the new window's limit. by says who does it, in 1 to 256 bytes
// of printable text; it is kept with the window, and shown by Show. Reset returns
// the new window. Errors: ErrInvalid, ErrUnavailable (then it is not known whether
// it was reset: repeat it).
func Reset(ctx context.Context, store Store, key Key, by string) (Window, error) {
	if err := errors.Join(key.Validate(), ownership.ValidateBy(by)); err != nil {
		return Window{}, err
	}
	for pause := NewPause(); ; {
		s, err := store.Load(ctx, key)
		if err != nil {
			return Window{}, fmt.Errorf("reset %s: %w", key, err)
		}
		w := s.Window.Restarted(s.ReadTime)
		_, err = store.Save(ctx, key, Change{
			Window: w, Since: s.Version, ResetBy: by,
			ExpiresAt: s.ReadTime.Add(MaxWindow + time.Hour), // its length is not known yet
		})
		if err == nil {
			return w, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Window{}, fmt.Errorf("reset %s: %w", key, err)
		}
		select {
		case <-ctx.Done():
			return Window{}, fmt.Errorf("reset %s: %w: %w", key, ErrUnavailable, ctx.Err())
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// reset is the window after a reset at readTime. Its generation is one that the
// key has never had, even if the Python service has erased the last one: the
// store's time in microseconds.
func (w Window) Restarted(readTime time.Time) Window {
	return Window{LastReset: UnixSeconds(readTime), Generation: max(w.Generation+1, readTime.UnixMicro())}
}
