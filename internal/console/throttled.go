package console

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Throttled remembers which tenants this process has refused lately. It is safe
// for concurrent use. Only refusals cost anything.
type Throttled struct {
	now func() time.Time

	mu    sync.Mutex
	pairs map[tenantAction]*refusals
}

type tenantAction struct{ tenant, action string }

// refusals counts by minute, for throttledFor.
type refusals struct {
	minutes [throttledMinutes]int64
	minute  int64 // the last one that is counted in minutes
	last    time.Time
}

const (
	throttledMinutes = 10
	maxThrottled     = 1000 // tenants and actions in memory
	mostThrottled    = 50   // of them on the page
)

// ThrottledTenant is a tenant that was refused an action.
type ThrottledTenant struct {
	Tenant  string    `json:"tenant_id"`
	Action  string    `json:"action"`
	Refused int64     `json:"refused"` // in the last ten minutes
	Last    time.Time `json:"last"`
}

// NewThrottled returns an empty memory.
func NewThrottled() *Throttled {
	return &Throttled{now: time.Now, pairs: map[tenantAction]*refusals{}}
}

// Take wraps next, which answers POST /v1/quota/{action}/take, and records its
// refusals.
func (t *Throttled) Take(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &status{ResponseWriter: w}
		next.ServeHTTP(watched, r)
		if watched.code == http.StatusTooManyRequests {
			t.refused(r.Header.Get("X-Tenant-Id"), r.PathValue("action"))
		}
	})
}

// Admit is a quotahttp.Admit that is bound to a limiter.
type Admit func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool

// Admit wraps next, and records its refusals.
func (t *Throttled) Admit(next Admit) Admit {
	return func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool {
		watched := &status{ResponseWriter: w}
		passed := next(watched, r, tenantID, action)
		if watched.code == http.StatusTooManyRequests {
			t.refused(tenantID, action)
		}
		return passed
	}
}

// status records the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (t *Throttled) refused(tenant, action string) {
	key, now := tenantAction{tenant, action}, t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.pairs[key]
	if r == nil {
		if len(t.pairs) >= maxThrottled {
			t.dropOldestLocked()
		}
		r = &refusals{}
		t.pairs[key] = r
	}
	r.turn(now)
	r.minutes[r.minute%throttledMinutes]++
	r.last = now
}

func (t *Throttled) dropOldestLocked() {
	var oldest tenantAction
	var at time.Time
	for key, r := range t.pairs {
		if at.IsZero() || r.last.Before(at) {
			oldest, at = key, r.last
		}
	}
	delete(t.pairs, oldest)
}

// turn forgets past minutes.
func (r *refusals) turn(now time.Time) {
	minute := now.Unix() / 60
	for m := max(r.minute+1, minute-throttledMinutes+1); m <= minute; m++ {
		r.minutes[m%throttledMinutes] = 0
	}
	r.minute = max(r.minute, minute)
}

func (r *refusals) sum() (n int64) {
	for _, m := range r.minutes {
		n += m
	}
	return n
}

// list returns those that were refused most in the last ten minutes.
func (t *Throttled) list() []ThrottledTenant {
	list := []ThrottledTenant{}
	if t == nil {
		return list
	}
	now := t.now()
	t.mu.Lock()
	for key, r := range t.pairs {
		r.turn(now)
		n := r.sum()
		if n == 0 {
			delete(t.pairs, key)
			continue
		}
		list = append(list, ThrottledTenant{key.tenant, key.action, n, r.last})
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b ThrottledTenant) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Action, b.Action))
	})
	return list[:min(len(list), mostThrottled)]
}
