package quota

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// filePoll is how often a policy file is read again. It is read rather than
// asked for its time: a mounted ConfigMap changes by symbolic links, and some
// file systems keep whole seconds.
const filePoll = 2 * time.Second

// ParsePolicies reads a policy file:
//
//	policies:
//	  - limit: 100            # the default of everybody
//	    window: 60s
//	  - action: stream_resume
//	    limit: 1000
//	  - tenant: t_acme
//	    action: chat_send
//	    limit: 5000
//	    window: 10s
//	    shadow: true
//
// limit is required. Whatever is not known is refused, and so is a file without
// policies, such as one that is being written: "policies: []" means none. The
// errors wrap ErrInvalid, name the file and the line, and are all of them,
// joined.
func ParsePolicies(file string, text []byte) ([]Policy, error) {
	list, err := policyList(file, text)
	if err != nil {
		return nil, err
	}
	policies := make([]Policy, len(list))
	var faults []error
	for i, node := range list {
		if policies[i], err = policyNode(file, node); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if err := validateAll(policies, func(i int) string { return place(file, list[i]) }); err != nil {
		return nil, err
	}
	return policies, nil
}

// policyList returns the items below the one key of the file.
func policyList(file string, text []byte) ([]*yaml.Node, error) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, noPolicies(file + ":1")
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, ErrInvalid, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w: more than one YAML document", file, ErrInvalid)
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) != 2 || top.Content[0].Value != "policies" {
		return nil, noPolicies(place(file, top))
	}
	list := top.Content[1]
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: %w: policies must be a list", place(file, list), ErrInvalid)
	}
	return list.Content, nil
}

func noPolicies(place string) error {
	return fmt.Errorf("%s: %w: the file must have the one key policies; where there are none, policies: []", place, ErrInvalid)
}

func policyNode(file string, node *yaml.Node) (Policy, error) {
	if node.Kind != yaml.MappingNode {
		return Policy{}, fmt.Errorf("%s: %w: a policy must be a mapping", place(file, node), ErrInvalid)
	}
	var fields []field
	for i := 0; i+1 < len(node.Content); i += 2 {
		f := field{place: place(file, node.Content[i]), name: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&f.value); err != nil {
			return Policy{}, f.fault(err.Error())
		}
		fields = append(fields, f)
	}
	return policyOf(fields)
}

func place(file string, node *yaml.Node) string { return fmt.Sprintf("%s:%d", file, node.Line) }

// watchPolicyFile calls changed with each new text of the file that parses, and
// refused with the fault of each that does not, once per text, until ctx ends.
// before is the text that is in force already.
func watchPolicyFile(ctx context.Context, file string, before []byte, changed func([]Policy), refused func(error)) {
	ticker := time.NewTicker(filePoll)
	defer ticker.Stop()
	missing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		text, err := os.ReadFile(file)
		if err != nil {
			if !missing {
				refused(fmt.Errorf("read policies: %w", err))
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
