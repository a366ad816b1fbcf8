package limits

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decimal is the one way to write a number that all versions of YAML, and people,
// read alike: 0100 is 64 in YAML 1.1 and 100 in 1.2, 1_000 is a text in 1.2, 1:40
// is 100 in 1.1. See https://yaml.org/spec/1.2.2/#1032-tag-resolution and
// https://yaml.org/type/int.html.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// maybeBoolean is what YAML 1.1 takes for true or false, and YAML 1.2 for text
// (https://yaml.org/type/bool.html).
var maybeBoolean = []string{"y", "yes", "n", "no", "on", "off"}

// fieldOf reads one member of a mapping. Only plain scalars have a meaning here.
func fieldOf(file string, key, value *yaml.Node) (field, error) {
	f := field{place: place(file, key), name: key.Value}
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch text := value.Value; {
	case value.Kind != yaml.ScalarNode:
		return f, f.fault("must be a single value")
	case value.Style&yaml.TaggedStyle != 0:
		return f, f.fault(fmt.Sprintf("has the tag %s: leave it out", value.Tag))
	case value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
	case slices.Contains(maybeBoolean, strings.ToLower(text)):
		return f, f.fault(fmt.Sprintf("is %s, which is true or false to some readers of YAML, and a text to others: write true, false, or %q", text, text))
	case (value.Tag == "!!int" || value.Tag == "!!float") && !decimal.MatchString(text):
		return f, f.fault(fmt.Sprintf("is %s: write a whole number in decimal digits, without a sign, a leading zero or an exponent, or a text in quotes", text))
	}
	if err := value.Decode(&f.value); err != nil {
		return f, f.fault(err.Error())
	}
	return f, nil
}
