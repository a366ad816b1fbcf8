package certified

import (
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The reasons why memory cannot answer a check.
const (
	Absent      = "absent"      // the resource is not in memory
	Uncertified = "uncertified" // the feed was not read within MaxStaleness
	Aged        = "aged"        // what is kept is older than MaxAge
	Unreliable  = "unreliable"  // the fold needs more than what is kept, or its result may change without a notice
	OtherOwner  = "other_owner" // a refusal is always read
)

// Ageing is no reason to read: the check is answered. But what is kept will soon be
// too old, and no caller has been asked yet to read it again.
const Ageing = "ageing"

// Owns reports whether the tenant is known, and certified, to own the resource. If
// it is, why is empty or Ageing. Otherwise why is the reason why the check has to
// be read. It allocates only on the first check after a ledger change that moved
// the resource.
//
// The order matters. The certificate is loaded first: everything that it covers was
// out of the cache before. What is found is as of its time or later, and not later
// than its ledger. The clock is read last, so that the answer is not older than
// MaxStaleness even if this goroutine was held up in between.
func (c *Cache) Owns(tenantID string, r registry.Resource) (owned bool, why string) {
	cert := c.certifier.current.Load()
	if cert == nil {
		return false, Uncertified
	}
	s, hash := c.table.shardOf(r)
	e := s.lookup(hash, r)
	if e == nil {
		return false, Absent
	}
	owner, ok := e.owner(cert)
	if !ok {
		return false, Unreliable
	}
	if owner != tenantID {
		return false, OtherOwner
	}
	now := time.Now()
	age := c.table.age(e.read, now)
	if c.table.aged(age) {
		return false, Aged
	}
	if !cert.valid(now, c.certifier.maxStaleness) {
		return false, Uncertified
	}
	s.countHit(r.Kind)
	if c.table.ageing(hash, age) && !e.due.Load() {
		return true, Ageing
	}
	return true, ""
}

// Renew reports whether this caller has to read the resource again, because what is
// kept of it is ageing. The caller passes what it reads to Keep.
func (c *Cache) Renew(r registry.Resource) bool {
	s, hash := c.table.shardOf(r)
	e := s.lookup(hash, r)
	return e != nil && c.table.ageing(hash, c.table.age(e.read, time.Now())) && e.due.CompareAndSwap(false, true)
}

// Judgement is what memory knows of an ownership. Times are since the cache began.
type Judgement struct {
	Why     string        // as of Owns; empty if the tenant owns the resource
	Since   time.Duration // of the certificate
	Read    time.Duration // when the read was sent that it rests on
	Certain bool          // another owner is as certain as an ownership
}

// Judge is Owns for callers that need to know as of when. It counts no hit. If
// Certain, the answer that another tenant owns the resource may be relied on.
func (c *Cache) Judge(tenantID string, r registry.Resource) Judgement {
	cert := c.certifier.current.Load()
	if cert == nil {
		return Judgement{Why: Uncertified}
	}
	s, hash := c.table.shardOf(r)
	e := s.lookup(hash, r)
	if e == nil {
		return Judgement{Why: Absent}
	}
	j := Judgement{Since: c.Elapsed(cert.since), Read: e.read}
	owner, ok := e.owner(cert)
	now := time.Now()
	switch {
	case !ok:
		j.Why = Unreliable
	case c.table.aged(c.table.age(e.read, now)):
		j.Why = Aged
	case !cert.valid(now, c.certifier.maxStaleness):
		j.Why = Uncertified
	case owner != tenantID:
		j.Why, j.Certain = OtherOwner, true
	}
	return j
}
