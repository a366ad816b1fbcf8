package limits

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/northstar-engines/realtime-registry/registry"
)

// ActionPattern is what an action must match (design §3). It has no two
// underscores in a row, so that the last "__" splits a document's name in one
// way only.
const ActionPattern = `^[a-z0-9]+(_[a-z0-9]+)*$`

// TotalAction is the action of a window that counts all actions of a tenant
// together, beside each one's own. A policy that names it begins one (design §7).
// No caller can ask for it, since it does not match ActionPattern.
const TotalAction = "all-actions"

// MaxActionBytes keeps document names within the 1,500 bytes of Firestore.
const MaxActionBytes = 1024

var actionRegexp = regexp.MustCompile(ActionPattern)

// Key names a window's document: who does what.
type Key struct {
	Tenant string
	Action string
}

// Validate returns an error that wraps ErrInvalid unless the tenant matches its
// pattern, and the action matches ActionPattern or is TotalAction.
func (k Key) Validate() error {
	if err := registry.ValidateTenant(k.Tenant); err != nil {
		return err
	}
	return validateAction(k.Action)
}

// DocumentID is the name of the key's document, "{tenant}__{action}" (design
// §3). It is injective over valid keys.
func (k Key) DocumentID() string { return k.Tenant + "__" + k.Action }

// ParseDocumentID is the inverse of DocumentID. The error wraps ErrInvalid.
func ParseDocumentID(name string) (Key, error) {
	at := strings.LastIndex(name, "__")
	if at < 0 {
		return Key{}, fmt.Errorf("%w: document name %.80q has no action", ErrInvalid, name)
	}
	k := Key{Tenant: name[:at], Action: name[at+2:]}
	return k, k.Validate()
}

// String is the key as people read it: "t_acme chat_send".
func (k Key) String() string { return k.Tenant + " " + k.Action }

func validateAction(action string) error {
	if action == TotalAction {
		return nil
	}
	return validateCallersAction(action)
}

// validateCallersAction is validateAction for what a request does.
func validateCallersAction(action string) error {
	if len(action) > MaxActionBytes {
		return fmt.Errorf("%w: action of %d bytes: at most %d", ErrInvalid, len(action), MaxActionBytes)
	}
	if !actionRegexp.MatchString(action) {
		return fmt.Errorf("%w: action %.80q does not match %s", ErrInvalid, action, ActionPattern)
	}
	return nil
}
