package limits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"
)

// filePoll is how often a policy file is read again. It is read rather than
// asked for its time: a mounted ConfigMap changes by symbolic links, and some
// file systems keep whole seconds.
const filePoll = 2 * time.Second

// ParsePolicies reads a policy file:
//
//	actions: closed           # an action that no policy names is refused
//	policies:
//	  - limit: 100            # the default of every tenant
//	    window: 60s
//	  - action: stream_resume
//	    limit: 1000
//	  - action: all-actions   # all actions of a tenant together
//	    limit: 10000
//	  - tenant: t_acme
//	    action: chat_send
//	    limit: 5000
//	    window: 10s
//	    shadow: true
//
// limit is required. Whatever is not known is refused, and so is what YAML's
// versions read differently (0100, 1_000, yes), and a file without policies, such
// as one that is being written: "policies: []" means none. The errors wrap
// ErrInvalid, name the file and the line, and are all of them, joined.
func ParsePolicies(file string, text []byte) (Policies, error) {
	top, err := topOf(file, text)
	if err != nil {
		return Policies{}, err
	}
	var faults []error
	var parsed Policies
	if parsed.ActionsClosed = top.actions != nil; parsed.ActionsClosed {
		faults = append(faults, top.actions.closes())
	}
	parsed.List = make([]Policy, len(top.policies))
	for i, node := range top.policies {
		if parsed.List[i], err = policyNode(file, node); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return Policies{}, err
	}
	if err := ValidateAll(parsed.List, func(i int) string { return place(file, top.policies[i]) }); err != nil {
		return Policies{}, err
	}
	return parsed, nil
}

// top is what stands at the top of a file.
type top struct {
	actions  *field // nil: not there
	policies []*yaml.Node
}

func topOf(file string, text []byte) (t top, err error) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return t, noPolicies(file + ":1")
	} else if err != nil {
		return t, fmt.Errorf("%s: %w: %w", file, ErrInvalid, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return t, fmt.Errorf("%s: %w: more than one YAML document", file, ErrInvalid)
	}
	mapping := root.Content[0]
	if mapping.Kind != yaml.MappingNode {
		return t, noPolicies(place(file, mapping))
	}
	var list *yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch name := key.Value; {
		case name == "policies" && list == nil:
			list = value
		case name == actionsField && t.actions == nil:
			f, err := fieldOf(file, key, value)
			if err != nil {
				return t, err
			}
			t.actions = &f
		case name == "policies" || name == actionsField:
			return t, fmt.Errorf("%s: %w: %s: given twice", place(file, key), ErrInvalid, name)
		default:
			return t, noPolicies(place(file, key))
		}
	}
	if list == nil {
		return t, noPolicies(place(file, mapping))
	}
	if list.Kind != yaml.SequenceNode {
		return t, fmt.Errorf("%s: %w: policies must be a list", place(file, list), ErrInvalid)
	}
	t.policies = list.Content
	return t, nil
}

func noPolicies(place string) error {
	return fmt.Errorf("%s: %w: the file must have the key policies (if there are none, policies: []), may have actions: closed, and nothing else", place, ErrInvalid)
}

func policyNode(file string, node *yaml.Node) (Policy, error) {
	if node.Kind != yaml.MappingNode {
		return Policy{}, fmt.Errorf("%s: %w: a policy must be a mapping", place(file, node), ErrInvalid)
	}
	var fields []field
	for i := 0; i+1 < len(node.Content); i += 2 {
		f, err := fieldOf(file, node.Content[i], node.Content[i+1])
		if err != nil {
			return Policy{}, err
		}
		fields = append(fields, f)
	}
	return policyOf(fields)
}

func place(file string, node *yaml.Node) string { return fmt.Sprintf("%s:%d", file, node.Line) }

// watchPolicyFile calls changed with each new text of the file that parses, and
// refused with the fault of each that does not, once per text, until ctx ends.
// before is the text that is in force already.
func WatchPolicyFile(ctx context.Context, file string, before []byte, changed func(Policies), refused func(error)) {
	ticker := time.NewTicker(filePoll)
	defer ticker.Stop()
	missing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		text, err := readPolicyFile(file)
		if err != nil {
			if !missing {
				refused(err)
			}
			missing = true
			continue
		}
		missing = false
		if bytes.Equal(text, before) {
			continue
		}
		before = text
		policies, err := ParsePolicies(file, text)
		if err != nil {
			refused(err)
			continue
		}
		changed(policies)
	}
}
