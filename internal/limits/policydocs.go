package limits

import (
	"cmp"
	"fmt"
	"slices"
)

// PolicyCollection is the collection of policy documents, behind the prefix: one
// policy in each, of any name, with the fields of a policy file.
const PolicyCollection = "rate_limit_policies"

// policyDocuments keeps, of every policy document, the last version that was
// good.
type PolicyDocuments struct{ good map[string]goodDocument }

// goodDocument is a policy, or closes the list of actions.
type goodDocument struct {
	policy Policy
	closes bool
}

// replace takes all documents as they are now, and returns the policies in
// force. A document that is refused leaves its last good version in force; of
// two for the same tenant and action the one with the smaller name holds.
// Faults say which document was refused, and why.
func (d *PolicyDocuments) Replace(documents []PolicyDocument) (inForce Policies, faults []error) {
	documents = slices.SortedFunc(slices.Values(documents), func(a, b PolicyDocument) int { return cmp.Compare(a.Name, b.Name) })
	good := make(map[string]goodDocument, len(documents))
	holder := map[Key]string{}
	for _, document := range documents {
		parsed, err := parseDocument(document)
		scope := Key{parsed.policy.Tenant, parsed.policy.Action}
		if err == nil && !parsed.closes {
			if first, taken := holder[scope]; taken {
				err = fmt.Errorf("%s: %w: a second policy for %s; the first is %s",
					document.place(), ErrInvalid, parsed.policy.Scope(), PolicyDocument{Name: first}.place())
			}
		}
		if err != nil {
			faults = append(faults, err)
			before, ok := d.good[document.Name]
			scope = Key{before.policy.Tenant, before.policy.Action}
			if _, taken := holder[scope]; !ok || taken && !before.closes {
				continue
			}
			parsed = before
		}
		good[document.Name] = parsed
		if parsed.closes {
			inForce.ActionsClosed = true
			continue
		}
		holder[scope] = document.Name
		inForce.List = append(inForce.List, parsed.policy)
	}
	d.good = good
	return inForce, faults
}

// parseDocument reads a policy, or a document with the one field actions.
func parseDocument(d PolicyDocument) (goodDocument, error) {
	var fields []field
	for name, value := range d.Fields {
		fields = append(fields, field{d.place(), name, value})
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	if len(fields) == 1 && fields[0].name == actionsField {
		return goodDocument{closes: true}, fields[0].closes()
	}
	p, err := policyOf(fields)
	if err != nil {
		return goodDocument{}, err
	}
	if err := p.validateAt(d.place()); err != nil {
		return goodDocument{}, err
	}
	return goodDocument{policy: p}, nil
}

func (d PolicyDocument) place() string { return PolicyCollection + "/" + d.Name }
