package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// bom is the byte order mark that some editors put before UTF-8. RFC 8259 §8.1 lets
// a reader ignore it.
var bom = []byte("\ufeff")

// parse decodes JSON as encoding/json does into an any. Numbers beyond the range of
// a float64 become the nearest one; they mean nothing here. It refuses two things
// that encoding/json lets pass: text that is not UTF-8, and objects in which a name
// occurs twice. Of such an object some decoders take the first member and some the
// last, so two readers could see two tenants. A byte order mark before the text is
// ignored.
func parse(text []byte) (any, error) {
	text = bytes.TrimPrefix(text, bom)
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return nil, errors.New("not UTF-8: it begins with the byte order mark of UTF-16")
	case !utf8.Valid(text):
		return nil, errors.New("not UTF-8")
	}
	var tree any
	err := json.Unmarshal(text, &tree)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) { // for an any only a number can have a wrong type
		tree, err = parseNumbers(text)
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if membersIn(text) != members(tree) {
		return nil, fmt.Errorf("the name %s occurs twice in one object", Shorten(repeatedName(text)))
	}
	return tree, nil
}

// parseNumbers decodes valid JSON in which numbers may have any size.
func parseNumbers(text []byte) (tree any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&tree)
	return inRange(tree), err
}

// inRange replaces every json.Number by a finite float64. The schema validator
// computes with fractions, and would turn a larger number into one of as many
// digits as its exponent says.
func inRange(tree any) any {
	switch value := tree.(type) {
	case json.Number:
		f, _ := value.Float64()
		return max(-math.MaxFloat64, min(math.MaxFloat64, f))
	case map[string]any:
		for name, member := range value {
			value[name] = inRange(member)
		}
	case []any:
		for i, item := range value {
			value[i] = inRange(item)
		}
	}
	return tree
}

// membersIn counts the members of all objects in valid JSON. Each has one colon
// outside a string.
func membersIn(text []byte) int {
	n := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':':
			n++
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return n
}

// members counts the members of all objects in a decoded value, in which a name
// that occurs twice is one member.
func members(tree any) int {
	n := 0
	switch value := tree.(type) {
	case map[string]any:
		n = len(value)
		for _, member := range value {
			n += members(member)
		}
	case []any:
		for _, item := range value {
			n += members(item)
		}
	}
	return n
}

// repeatedName finds a name that occurs twice in one object of valid JSON. It is
// slow, and only called if there is one.
func repeatedName(text []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	name, _ := repeatedNameIn(decoder)
	return name
}

func repeatedNameIn(decoder *json.Decoder) (string, bool) {
	token, err := decoder.Token()
	delimiter, opens := token.(json.Delim)
	if err != nil || !opens {
		return "", false
	}
	names := map[string]bool{}
	for decoder.More() {
		if delimiter == '{' {
			token, _ := decoder.Token()
			name, _ := token.(string)
			if names[name] {
				return name, true
			}
			names[name] = true
		}
		if name, ok := repeatedNameIn(decoder); ok {
			return name, true
		}
	}
	_, _ = decoder.Token() // the closing delimiter
	return "", false
}
