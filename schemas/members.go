package schemas

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/northstar-engines/realtime-registry/internal/spelling"
)

// movedMembers are the members that the data of a move may have, in the order in
// which messages name them.
var movedMembers = []string{"from_tenant_id", "to_tenant_id", "resources", "reason", "actor"}

// printablePattern is that of texts for people: no characters of Unicode's category
// Other, which has control, format and private characters.
const printablePattern = `^\P{C}*$`

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Archived adapts data from an archive. It removes other members of a move, which
// were ignored when their event was published. It keeps those that may have been
// meant to limit what moves, and Validate refuses them: the event did not mean what
// it did.
func Archived(dataType string, data any) any {
	moved, ok := data.(map[string]any)
	if dataType != tenantMoved || !ok {
		return data
	}
	kept := maps.Clone(moved)
	for name := range kept {
		if !slices.Contains(movedMembers, name) && meant(name) != "resources" {
			delete(kept, name)
		}
	}
	return kept
}

// notAField names the member that was probably meant by one that a move must not
// have.
func notAField(name string) string {
	if m := meant(name); m != "" {
		return "not a field here, did you mean " + m
	}
	last := len(movedMembers) - 1
	return fmt.Sprintf("not a field here: those of a move are %s and %s", strings.Join(movedMembers[:last], ", "), movedMembers[last])
}

// meant returns the member that was probably meant by a name; "" if there is none.
func meant(name string) string {
	plain := letters(name)
	for _, what := range []string{"resource", "thread", "canvas"} {
		if strings.Contains(plain, what) {
			return "resources"
		}
	}
	best, least := "", 3 // at most two letters wrong, missing, or added
	for _, m := range movedMembers {
		if d := spelling.Distance(plain, letters(m)); d < least {
			best, least = m, d
		}
	}
	switch {
	case best != "":
		return best
	case strings.HasPrefix(plain, "from"), strings.HasSuffix(plain, "from"):
		return "from_tenant_id"
	case strings.HasPrefix(plain, "to"), strings.HasSuffix(plain, "to"):
		return "to_tenant_id"
	}
	return ""
}

// letters returns the letters and digits of a name, in lower case.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// printable returns a name for use in a detail.
func printable(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return quote(name)
}
