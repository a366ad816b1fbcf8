package ownership

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An ErasureKey gives erased tenants other names. A registry has one, random, which
// its first erasure makes. It is a name in the ledger, as is every tenant that was
// erased: so all processes know both wherever they know the ledger, and snapshots and
// archives have them.
//
// The entries are retractions of moves that there are not, under the registry's own
// source. They have no effect on any fold, and earlier releases keep them.
type ErasureKey string

// NewErasureKey returns a random key.
func NewErasureKey() ErasureKey {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	return ErasureKey(hex.EncodeToString(key))
}

// The names of the ledger's entries: "erased/{key}" is there as long as the key is
// used, and "erased/{key}/{hash}" for each erased tenant.
const (
	erasedEntry    = "erased/"
	erasedTenant   = "t_erased-"
	erasureKeySize = 32
)

var pseudonyms = regexp.MustCompile(`^` + erasedTenant + `[0-9a-f]{32}$`)

// IsPseudonym reports whether a tenant is the name that took the place of an erased
// one.
func IsPseudonym(tenant string) bool { return pseudonyms.MatchString(tenant) }

func (k ErasureKey) hash(tenant string) string {
	mac := hmac.New(sha256.New, []byte(k))
	mac.Write([]byte(tenant))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Pseudonym returns the name that takes the place of a tenant's. Whoever does not know
// the key cannot tell whose it is.
func (k ErasureKey) Pseudonym(tenant string) string { return erasedTenant + k.hash(tenant) }

// Entry returns the name of the key's entry in the ledger.
func (k ErasureKey) Entry() EventName { return EventName{ClaimSource, erasedEntry + string(k)} }

// EntryOf returns the name of the entry that says that a tenant was erased.
func (k ErasureKey) EntryOf(tenant string) EventName {
	return EventName{ClaimSource, erasedEntry + string(k) + "/" + k.hash(tenant)}
}

// ErasureKeys returns the keys that the ledger has: none before the first erasure, and
// more than one only if archives of several registries were brought together.
func (l *Ledger) ErasureKeys() (keys []ErasureKey) {
	if l.Len() == 0 {
		return nil
	}
	for from := erasedEntry; ; {
		found := ""
		l.moves.byName.Ascend(pack([]Move{{Version: Version{Source: ClaimSource, ID: from}}})[0], func(m *packedMove) bool {
			if m.source.Value() == ClaimSource {
				found = m.id()
			}
			return false
		})
		key, ok := strings.CutPrefix(found, erasedEntry)
		if !ok || len(key) < erasureKeySize {
			return keys
		}
		keys = append(keys, ErasureKey(key[:erasureKeySize]))
		from = erasedEntry + key[:erasureKeySize] + "0" // behind all that begin with the key and a slash
	}
}

// Pseudonym returns the name that took the place of a tenant's, if it was erased.
func (l *Ledger) Pseudonym(tenant string) (pseudonym string, erased bool) {
	return l.pseudonymBy(l.ErasureKeys(), tenant)
}

func (l *Ledger) pseudonymBy(keys []ErasureKey, tenant string) (string, bool) {
	for _, k := range keys {
		if _, ok := l.Find(k.EntryOf(tenant)); ok {
			return k.Pseudonym(tenant), true
		}
	}
	return "", false
}

// Forget says that a document is to lose what it has of a tenant: the job that erases
// the tenant asks for it.
type Forget struct {
	Tenant, Pseudonym string
	Key               ErasureKey // whose pseudonym it is
	At                time.Time  // of the deletion of what it owns
}

// Forgotten is what became of documents that were to lose a tenant's name.
type Forgotten struct {
	Written int // as far as it is known
	Deleted int // of them: tombstones now
}

// anonymous returns the record, and entries that are to join it, without the names of
// erased tenants, and reports whether the record had any. To give a tenant another
// name, the same everywhere, changes no fold.
func (r Record) anonymous(entries []Entry, l *Ledger) (_ Record, _ []Entry, renamed bool) {
	keys := l.ErasureKeys()
	if len(keys) == 0 && r.Forget == nil {
		return r, entries, false
	}
	rename := func(e Entry) Entry {
		before := e
		for _, tenant := range []string{e.Tenant, e.From, e.To} {
			if pseudonym, erased := l.pseudonymBy(keys, tenant); erased {
				e = e.Renamed(tenant, pseudonym)
			}
		}
		if r.Forget != nil {
			e = e.Renamed(r.Forget.Tenant, r.Forget.Pseudonym)
		}
		renamed = renamed || e != before
		return e
	}
	entries, renamed = renamedAll(entries, rename), false
	r.History, r.Displaced = r.History.renamed(rename), renamedAll(r.Displaced, rename)
	return r, entries, renamed
}

// Anonymous returns the entry without the names of tenants that the ledger says were
// erased.
func (e Entry) Anonymous(l *Ledger) Entry {
	_, entries, _ := Record{}.anonymous([]Entry{e}, l)
	return entries[0]
}

func renamedAll(entries []Entry, rename func(Entry) Entry) []Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i] = rename(e)
	}
	return entries
}

func (h History) renamed(rename func(Entry) Entry) (renamed History) {
	for _, e := range h {
		renamed, _ = renamed.Merge(rename(e))
	}
	return renamed
}

// Renamed returns the entry with another name for a tenant. The event's own name
// follows if the entry is of the tenant: it is renamed whenever it comes again. Texts
// for people follow in any case.
func (e Entry) Renamed(tenant, pseudonym string) Entry {
	of := e.of(tenant)
	for _, field := range []*string{&e.Tenant, &e.From, &e.To} {
		if *field == tenant {
			*field = pseudonym
		}
	}
	texts := []*string{&e.Reason, &e.Actor, &e.Event.Source, &e.Event.ID}
	if of {
		texts = append(texts, &e.Source, &e.ID)
	}
	for _, text := range texts {
		*text = RenamedText(*text, tenant, pseudonym)
	}
	return e
}

// of reports whether the entry is of a tenant.
func (e Entry) of(tenant string) bool {
	return e.Tenant == tenant || e.From == tenant || e.To == tenant
}

// RenamedText replaces the name of a tenant where it stands in a text between
// characters that are neither letters nor digits. Two names that a hyphen or an
// underscore joins cannot be told from one that has it: those are replaced too.
func RenamedText(text, tenant, pseudonym string) string {
	var b strings.Builder
	for {
		at := strings.Index(text, tenant)
		if at < 0 {
			return b.String() + text
		}
		end := at + len(tenant)
		b.WriteString(text[:at])
		if at > 0 && alphanumeric(text[at-1]) || end < len(text) && alphanumeric(text[end]) {
			b.WriteString(tenant)
		} else {
			b.WriteString(pseudonym)
		}
		text = text[end:]
	}
}

// Names reports whether a text names a tenant, by the rule of RenamedText.
func Names(text, tenant string) bool {
	return strings.Contains(text, tenant) && RenamedText(text, tenant, "") != text
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
