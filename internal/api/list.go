package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// listShape is the allowed form of a body that lists resources.
type listShape struct {
	most      int
	tenant    bool // one for all, beside the list; else each item has its own
	onceOnly  bool // a repeated item is a fault
	maxLength int64
}

var (
	watchShape  = &listShape{most: 5000, onceOnly: true, maxLength: 1 << 20}
	accessShape = &listShape{most: 500, tenant: true, maxLength: 1 << 20}
)

// listBody decodes such a body, strictly: an unknown or repeated member, a name in
// another case, and anything after the body are faults. A fault of an item says
// which.
type listBody struct {
	*listShape
	json *json.Decoder
}

// decode returns the ownerships in question. Every error wraps ErrInvalid.
func (shape *listShape) decode(body []byte) ([]verifier.Ownership, error) {
	b := listBody{shape, json.NewDecoder(bytes.NewReader(body))}
	var tenantID string
	var items []verifier.Ownership
	hasTenant, hasItems := false, false
	members := []string{"resources"}
	if b.tenant {
		members = []string{"tenant_id", "resources"}
	}
	err := b.object("the body", members, func(name string) (err error) {
		if name == "tenant_id" {
			hasTenant = true
			tenantID, err = b.text("tenant_id")
			return err
		}
		hasItems = true
		items, err = b.items()
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case b.tenant && !hasTenant:
		return nil, invalid("tenant_id is missing")
	case !hasItems:
		return nil, invalid("resources is missing")
	case len(items) == 0:
		return nil, invalid("resources is empty")
	}
	if _, err := b.json.Token(); err != io.EOF {
		return nil, invalid("there is something behind the body's JSON object")
	}
	if b.tenant {
		if err := registry.ValidateTenant(tenantID); err != nil {
			return nil, err
		}
		for i := range items {
			items[i].TenantID = tenantID
		}
	}
	return items, b.check(items)
}

// check returns the first fault of the items.
func (b *listBody) check(items []verifier.Ownership) error {
	first := make(map[verifier.Ownership]int, len(items))
	for i, o := range items {
		err := registry.ValidateTenant(o.TenantID)
		if err == nil {
			err = o.Resource.Validate()
		}
		if err != nil {
			return fmt.Errorf("resources[%d]: %w", i, err)
		}
		if before, is := first[o]; is && b.onceOnly {
			return invalid("resources[%d] is resources[%d] again: each may be there once", i, before)
		}
		first[o] = i
	}
	return nil
}

func (b *listBody) items() ([]verifier.Ownership, error) {
	if err := b.opens('[', "resources", "an array"); err != nil {
		return nil, err
	}
	var items []verifier.Ownership
	members := []string{"tenant_id", "kind", "id"}
	if b.tenant {
		members = members[1:]
	}
	for b.json.More() {
		if len(items) == b.most {
			return nil, invalid("resources[%d] is one too many: at most %d may be asked for", b.most, b.most)
		}
		where := fmt.Sprintf("resources[%d]", len(items))
		var o verifier.Ownership
		missing := len(members)
		err := b.object(where, members, func(name string) error {
			missing--
			text, err := b.text(where + "." + name)
			switch name {
			case "tenant_id":
				o.TenantID = text
			case "kind":
				o.Resource.Kind = registry.Kind(text)
			case "id":
				o.Resource.ID = text
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if missing > 0 {
			return nil, invalid("%s has not all of %q", where, members)
		}
		items = append(items, o)
	}
	_, err := b.token() // the closing bracket
	return items, err
}

// object decodes an object with no other members than these, each at most once. The
// function decodes the value of each.
func (b *listBody) object(where string, members []string, value func(name string) error) error {
	if err := b.opens('{', where, "an object"); err != nil {
		return err
	}
	seen := 0
	for b.json.More() {
		token, err := b.token()
		if err != nil {
			return err
		}
		name, bit := token.(string), 0 // the decoder returns no other token here
		for i, member := range members {
			if name == member {
				bit = 1 << i
			}
		}
		switch {
		case bit == 0:
			return invalid("%s has a member %q: %q are known", where, shorten(name), members)
		case seen&bit != 0:
			return invalid("%s has the member %q twice", where, name)
		}
		seen |= bit
		if err := value(name); err != nil {
			return err
		}
	}
	_, err := b.token() // the closing brace
	return err
}

func (b *listBody) text(where string) (string, error) {
	token, err := b.token()
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", invalid("%s is not a string", where)
	}
	return text, nil
}

func (b *listBody) opens(with json.Delim, where, want string) error {
	token, err := b.token()
	if err != nil {
		return err
	}
	if token != with {
		return invalid("%s is not %s", where, want)
	}
	return nil
}

func (b *listBody) token() (json.Token, error) {
	token, err := b.json.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, invalid("the body is not JSON: %v", err)
	}
	return token, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{registry.ErrInvalid}, args...)...)
}

// shorten bounds what an answer repeats of a request.
func shorten(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
