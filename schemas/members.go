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

// movedMembers are those that the data of a move may have, in the order in which
// people name them.
var movedMembers = []string{"from_tenant_id", "to_tenant_id", "resources", "reason", "actor"}

// printablePattern is that of texts for people: nothing of Unicode's category
// Other, which control, format and private characters are.
const printablePattern = `^\P{C}*$`

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Archived is the data as an archive may have it: other members of a move, which
// were ignored when their event was published, are left out, as then. Those that
// may have been meant to limit what moves stay, and are refused by Validate: the
// event did not mean what it did.
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

// notAField says of a member that a move must not have which was probably meant.
func notAField(name string) string {
	if m := meant(name); m != "" {
		return "not a field here, did you mean " + m
	}
	last := len(movedMembers) - 1
	return fmt.Sprintf("not a field here: those of a move are %s and %s", strings.Join(movedMembers[:last], ", "), movedMembers[last])
}

// meant is the member that was probably meant by a name, "" if none was.
func meant(name string) string {
	plain := letters(name)
	for _, what := range []string{"resource", "thread", "canvas"} {
		if strings.Contains(plain, what) {
			return "resources"
		}
	}
	best, least := "", 3 // two letters wrong, left out, or too many
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

// letters is the name in lower case, its letters and digits alone.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// printable is a name as it may stand in a detail.
func printable(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return quote(name)
}
