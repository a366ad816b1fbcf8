package quota

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
type policyDocuments struct{ good map[string]Policy }

// replace takes all documents as they are now, and returns the policies in
// force. A document that is refused leaves its last good version in force; of
// two for the same tenant and action the one with the smaller name holds.
// Faults say which document was refused, and why.
func (d *policyDocuments) replace(documents []PolicyDocument) (inForce []Policy, faults []error) {
	documents = slices.SortedFunc(slices.Values(documents), func(a, b PolicyDocument) int { return cmp.Compare(a.Name, b.Name) })
	good := make(map[string]Policy, len(documents))
	holder := map[Key]string{}
	for _, document := range documents {
		p, err := parseDocument(document)
		if err == nil {
			if first, taken := holder[Key{p.Tenant, p.Action}]; taken {
				err = fmt.Errorf("%s: %w: a second policy for %s; the first is %s",
					document.place(), ErrInvalid, p.Scope(), PolicyDocument{Name: first}.place())
			}
		}
		if err != nil {
			faults = append(faults, err)
			before, ok := d.good[document.Name]
			if _, taken := holder[Key{before.Tenant, before.Action}]; !ok || taken {
				continue
			}
			p = before
		}
		holder[Key{p.Tenant, p.Action}] = document.Name
		good[document.Name] = p
		inForce = append(inForce, p)
	}
	d.good = good
	return inForce, faults
}

func parseDocument(d PolicyDocument) (Policy, error) {
	var fields []field
	for name, value := range d.Fields {
		fields = append(fields, field{d.place(), name, value})
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	p, err := policyOf(fields)
	if err != nil {
		return Policy{}, err
	}
	if err := p.validateAt(d.place()); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func (d PolicyDocument) place() string { return PolicyCollection + "/" + d.Name }
